"""Chinese for the sentences that a run records in English."""

import re

# (regular expression for the English sentence, Chinese with its groups)
_CHINESE = tuple(
    (re.compile(english), chinese)
    for english, chinese in (
        # how a split was made
        (
            r"the official ([\d,]+) test images, ([\d,]+) of the rest as validation; "
            r"stratified, (?:seed \d+|the same for every seed)",
            r"测试集为官方的 \1 张图像，其余中取 \2 张作验证；分层抽样，与随机种子无关",
        ),
        (
            r"([\d,]+) images? set apart as test, ([\d,]+) of the rest as validation; "
            r"stratified, (?:seed \d+|the same for every seed)",
            r"留出 \1 张作测试，其余中取 \2 张作验证；分层抽样，与随机种子无关",
        ),
        (
            r"([\d,]+) images? set apart as test, ([\d,]+) of the rest as validation; "
            r"by content, (?:seed \d+|the same for every seed)",
            r"留出 \1 张作测试，其余中取 \2 张作验证；按图像内容划分，与随机种子无关",
        ),
        (
            r"what is called (\w+) held out as test, ([\d,]+) of the rest as validation; "
            r"by content, (?:seed \d+|the same for every seed)",
            r"名为 \1 的部分留作测试，其余中取 \2 张作验证；按图像内容划分，与随机种子无关",
        ),
        (
            r"train, validation and test as they were given",
            r"训练、验证和测试按原有划分",
        ),
        # what a last layer's penalty was chosen by
        (
            r"the log-loss on ([\d,]+) validation images",
            r" \1 张验证图像上的对数损失",
        ),
        (
            r"(\d+)-fold cross-validation on ([\d,]+) training images",
            r" \2 张训练图像上的 \1 折交叉验证",
        ),
        (
            r"(?:nothing:|a guess, since) there are too few images to hold any out",
            r"默认值（图像太少，无法留出）",
        ),
        # notes on an evaluation
        (
            r"([\d,]+) images? (?:are|is) too few for a (?:reliable estimate|number that means much)",
            r"只有 \1 张图像，这个数字说明不了多少问题",
        ),
        (
            r"(.+): (?:too few images to judge these classes|so few images that .*)",
            r"\1：图像太少，关于这些类别的数字只是偶然",
        ),
        (
            r"([\d,]+) images? left out: no ink was found there",
            r"剔除 \1 张图像：其中没有找到笔迹",
        ),
        (
            r"([\d,]+) of these ([\d,]+) images? (?:was|were) trained on: the accuracy is too high",
            r"\2 张图像中有 \1 张曾用于训练：准确率偏高",
        ),
        (
            r"left out: ([\d,]+) images? of ([\d,]+) class(?:es)? that the classifier does not "
            r"know: (.*)",
            r"\2 个类别（共 \1 张图像）是分类器不认识的，未计入：\3",
        ),
        (
            r'"(.+)" is judged as "(.+)": the names differ only in case or spaces',
            r"“\1”按“\2”评判：两者只有大小写或空格不同",
        ),
        (
            r'"(.+)" and "(.+)" differ only in case or spaces: if they are one class, give it '
            r"one name",
            r"“\1”与“\2”只有大小写或空格不同：若为同一类别，请统一名称",
        ),
        # the doctor's findings
        (
            r"([\d,]+) images? in shades of grey: .*",
            r"\1 张灰度图像：其单个通道重复为红、绿、蓝三个通道",
        ),
        (r"([\d,]+) links? to something outside, .*", r"\1 个链接指向外部或已失效：未跟随"),
        (
            r"([\d,]+) files? outside the table's folder: .*",
            r"\1 个文件在表格所在文件夹之外：未读取",
        ),
        (r"([\d,]+) special files? \(.*", r"\1 个特殊文件（FIFO、套接字或设备）：未读取"),
        (r"([\d,]+) names? that points? out of the archive", r"\1 个文件名指向压缩包之外"),
        (r"([\d,]+) files? that (?:is|are) no images? by .*", r"\1 个文件从名称看不是图像"),
        (r"([\d,]+) folders? that cannot be read", r"\1 个文件夹无法读取"),
        (r"([\d,]+) images? in no class folder: .*", r"\1 张图像不在任何类别文件夹中"),
        (r"([\d,]+) images? beside the folders of the splits", r"\1 张图像在划分文件夹之外"),
        (r"([\d,]+) empty folders?", r"\1 个空文件夹"),
        (r"([\d,]+) rows? without a label", r"\1 行没有标签"),
        (r"([\d,]+) files? that the table names and that .*", r"表中列出的 \1 个文件不存在"),
        (r"([\d,]+) empty files?", r"\1 个空文件"),
        (r"([\d,]+) (HEIC|AVIF) images?, not read: (.*)", r"\1 张 \2 图像无法读取：\3"),
        (r"([\d,]+) images? of one colour, .*", r"\1 张图像只有一种颜色，空白或透明：请查看"),
        (
            r"([\d,]+) files? (?:with an image extension|named as (?:an image|images)) that .*",
            r"\1 个文件名为图像，实际不是",
        ),
        (r"([\d,]+) files? that cannot be read: (.*)", r"\1 个文件无法读取：\2"),
        (r"([\d,]+) images? of another format than .*", r"\1 张图像的实际格式与文件名不符：已读取"),
        (r"([\d,]+) images? turned upright as .*", r"\1 张图像已按 EXIF 信息转正"),
        (
            r"([\d,]+) images? whose EXIF says to turn what seems .*",
            r"\1 张图像的 EXIF 要求旋转，但看来已经转过：请查看",
        ),
        (
            r"([\d,]+) JPEGs? without EXIF, most others have it: .*",
            r"\1 张 JPEG 没有 EXIF 而多数图像有：无法判断是否端正",
        ),
        (
            r"([\d,]+) images? more than ([\d.]+) times as long as wide: .*",
            r"\1 张图像的长宽比超过 \2：照片只取中间部分（--set fit=square 可保留全图）",
        ),
        (
            r"([\d,]+) images? in (?:another colour mode|other colour modes) \((.*)\), read as RGB",
            r"\1 张图像为其他颜色模式（\2），按 RGB 读取",
        ),
        (
            r"([\d,]+) images? of a group that (?:also has validation or test images|a split .*): .*",
            r"\1 张图像与评判用的图像同属一组：已剔除",
        ),
        (r"([\d,]+) groups? of images given: .*", r"给出了 \1 组图像：同组图像划分在同一部分"),
        (
            r"([\d,]+) (?:copy|copies) of an image under another label: .*",
            r"\1 张相同的图像标签不同：无从判断哪个正确，已全部剔除",
        ),
        (
            r"([\d,]+) images? that (?:is|are) (?:also in validation or test|in a split .*): .*",
            r"\1 张图像也出现在评判用的部分：已从另一部分剔除",
        ),
        (
            r"([\d,]+) (?:near-duplicates? of validation or test images|images? nearly .* judged by): .*",
            r"\1 张图像与评判用的图像几乎相同：已从另一部分剔除",
        ),
        (
            r"([\d,]+) images? nearly the same as one with another label: .*",
            r"\1 张图像与另一标签的图像几乎相同：请查看",
        ),
        (
            r"([\d,]+) (?:duplicate images?|further (?:copy|copies) of an image): .*",
            r"\1 张重复图像：每张只用一次",
        ),
        (
            r"([\d,]+) images? that (?:is|are) nearly the same as another: .*",
            r"\1 张图像与别的图像几乎相同：划分时归在同一部分",
        ),
        (r"([\d,]+) images?, and .* be used", r"共 \1 张图像，没有一张可用"),
        (
            r"([\d,]+) class(?:es)? without an image in train, left out: (.*)",
            r"\1 个类别在 train 中没有图像，已剔除：\2",
        ),
        (
            r"([\d,]+) class(?:es)? without an image in (\w+): (.*)",
            r"\1 个类别在 \2 中没有图像：\3",
        ),
        (
            r"([\d,]+) class(?:es)? with fewer than (\d+) images: (.*)",
            r"\1 个类别的图像少于 \2 张：\3",
        ),
        (
            r"([\d,]+) classes whose names differ by case or spaces only: (.*): are they one\?",
            r"\1 个类别的名称只有大小写或空格不同：\2：是否为同一类？",
        ),
        (r"1 class: there is nothing to tell apart", r"只有 1 个类别，无从区分"),
        (
            r"[\d,]+ classes of very different size: (.*) images",
            r"各类别的图像数量相差悬殊：\1 张",
        ),
    )
)


def told(sentence: str, lang: str) -> str:
    """A recorded sentence in `lang`; in English if there is no translation."""
    if lang == "zh":
        for pattern, chinese in _CHINESE:
            match = pattern.fullmatch(sentence)
            if match:
                return match.expand(chinese)
    return sentence
