"""Messages about a dataset: how it was split, and the findings of its checks."""

from neocog.messages.phrases import Phrases

_SPLITS: Phrases = {
    "split_official": (
        "the official {test:test image|test images}, {validation:,} of the rest as validation; "
        "stratified, the same for every seed",
        "测试集为官方的 {test:,} 张图像，另从训练图像中取 {validation:,} 张作验证集；"
        "分层抽样，与随机种子无关",
    ),
    "split_stratified": (
        "{test:image|images} held out as test, {validation:,} of the rest as validation; "
        "stratified, the same for every seed",
        "留出 {test:,} 张图像作测试集，再从其余图像中取 {validation:,} 张作验证集；"
        "分层抽样，与随机种子无关",
    ),
    "split_by_content": (
        "{test:image|images} held out as test, {validation:,} of the rest as validation; "
        "by content, the same for every seed",
        "留出 {test:,} 张图像作测试集，再从其余图像中取 {validation:,} 张作验证集；"
        "按图像内容划分，与随机种子无关",
    ),
    "split_held_out": (
        "{split} held out as test, {validation:,} of the rest as validation; by content, the same "
        "for every seed",
        "数据集自带的 {split} 部分作测试集，另从训练图像中取 {validation:,} 张作验证集；"
        "按图像内容划分，与随机种子无关",
    ),
    "split_as_given": (
        "train, validation and test as provided by the dataset",
        "训练集、验证集和测试集沿用数据集原有的划分",
    ),
}

# By the kind of a finding; `n` is its count.
_FILES: Phrases = {
    "link": (
        "{n:link that is broken or leaves|links that are broken or leave} the dataset: not "
        "followed (--follow-links follows links to files outside)",
        "{n:,} 个链接指向数据集之外或已失效：未读取（--follow-links 可读取指向外部的链接）",
    ),
    "outside": (
        "{n:file|files} outside the table's folder: not read (--allow-outside reads {n:|it|them})",
        "{n:,} 个文件不在表格所在的文件夹中：未读取（--allow-outside 可读取）",
    ),
    "special": (
        "{n:special file|special files} (FIFO, socket or device): not read",
        "{n:,} 个特殊文件（FIFO、套接字或设备）：未读取",
    ),
    "points_out": (
        "{n:name that points|names that point} out of the archive",
        "{n:,} 个文件名指向压缩包之外",
    ),
    "other_file": (
        "{n:file|files} without an image extension",
        "{n:,} 个文件从名称看不是图像",
    ),
    "unread_folder": (
        "{n:unreadable folder|unreadable folders}",
        "{n:,} 个文件夹无法读取",
    ),
    "no_class": (
        "{n:image|images} outside the class folders: label unknown",
        "{n:,} 张图像不在任何类别文件夹中：无从得知类别",
    ),
    "beside_splits": (
        "{n:image|images} outside the split folders",
        "{n:,} 张图像不在各划分的文件夹中",
    ),
    "empty_folder": ("{n:empty folder|empty folders}", "{n:,} 个空文件夹"),
    "no_label": ("{n:row|rows} without a label", "{n:,} 行没有标签"),
    "no_cls": (
        "{n:image|images} without a class: no readable .cls or .json file of the same name",
        "{n:,} 张图像没有类别：没有同名且可读取的 .cls 或 .json 文件",
    ),
    "repeated_key": (
        "{n:image|images} with the key of an earlier image in the same file: not used",
        "{n:,} 张图像的键与同一文件中靠前的图像重复：未使用",
    ),
    "missing": (
        "{n:file|files} listed in the table, but missing",
        "表格中列出的 {n:,} 个文件不存在",
    ),
    "empty": ("{n:empty file|empty files}", "{n:,} 个空文件"),
    "unread_kind": (
        "{n:,} {format} {n:|image|images}, not read: {command}",
        "{n:,} 张 {format} 图像未能读取，请安装解码器：{command}",
    ),
    "not_an_image": (
        "{n:file|files} with an image extension that {n:|is not an image|are not images}",
        "{n:,} 个文件的扩展名是图像格式，内容却不是图像",
    ),
    "corrupt": (
        "{n:file|files} that cannot be read: {reasons:; }",
        "{n:,} 个文件无法读取：{reasons:；}",
    ),
    "wrong_suffix": (
        "{n:image|images} whose format does not match the extension (decoded anyway)",
        "{n:,} 张图像的实际格式与扩展名不符：已读取",
    ),
}

_IMAGES: Phrases = {
    "turned": (
        "{n:image|images} rotated upright according to EXIF",
        "{n:,} 张图像已按 EXIF 信息转正",
    ),
    "exif_stale": (
        "{n:image|images} whose EXIF rotation seems to be applied already: check {n:|it|them}",
        "{n:,} 张图像的 EXIF 要求旋转，但图像似乎已经转正：请查看",
    ),
    "exif_missing": (
        "{n:JPEG|JPEGs} without EXIF, unlike most others: orientation unknown",
        "{n:,} 张 JPEG 图像没有 EXIF，而其余多数都有：无法判断方向是否正确",
    ),
    "elongated": (
        "{n:image|images} with one side more than {ratio:g} times the other: photos are "
        "center-cropped (--set fit=square keeps the whole image)",
        "{n:,} 张图像的长边超过短边的 {ratio:g} 倍：只取照片的中间部分"
        "（--set fit=square 可保留整幅图像）",
    ),
    "blank": (
        "{n:image|images} of a single colour, blank or transparent: check {n:|it|them}",
        "{n:,} 张图像为纯色、空白或透明：请查看",
    ),
    "modes": (
        "{n:image in another colour mode|images in other colour modes} ({modes:, }), "
        "converted to RGB",
        "{n:,} 张图像为其他颜色模式（{modes:、}），已转换为 RGB",
    ),
    "grey_to_rgb": (
        "{n:grey image|grey images}: the channel is repeated as red, green and blue, as the "
        "network expects",
        "{n:,} 张灰度图像：单个通道复制为网络所需的红、绿、蓝三个通道",
    ),
    "none_usable": (
        "0 usable images out of {n:,}",
        "共 {n:,} 张图像，没有一张可用",
    ),
}

_DUPLICATES: Phrases = {
    "conflicting_labels": (
        "{n:duplicate|duplicates} of an image with another label: all copies are left out, because "
        "the correct label is unknown",
        "{n:,} 张图像与另一张完全相同而标签不同：无法判断哪个标签正确，全部剔除",
    ),
    "duplicates_across_splits": (
        "{n:image that is|images that are} also in validation or test: removed from the other "
        "split",
        "{n:,} 张图像同时出现在验证集或测试集中：已从另一部分剔除",
    ),
    "near_duplicates_across_splits": (
        "{n:near-duplicate|near-duplicates} of validation or test images: removed from the other "
        "split",
        "{n:,} 张图像与验证集或测试集中的图像近似重复：已从另一部分剔除",
    ),
    "near_conflicting_labels": (
        "{n:near-duplicate|near-duplicates} of an image with another label: check {n:|it|them}",
        "{n:,} 张图像与标签不同的另一张图像几乎相同：请查看",
    ),
    "duplicates": (
        "{n:duplicate image|duplicate images}: each is used once",
        "{n:,} 张重复图像：每张只用一次",
    ),
    "near_duplicates": (
        "{n:near-duplicate image|near-duplicate images}: kept in the same split",
        "{n:,} 张近似重复的图像：划分时放在同一部分",
    ),
    "group_across_splits": (
        "{n:image|images} of a group that also has validation or test images: removed",
        "{n:,} 张图像与验证集或测试集中的图像同属一组：已剔除",
    ),
    "groups": (
        "{n:group|groups} of images: the images of a group stay in the same split",
        "数据集定义了 {n:,} 组图像：同组图像划分在同一部分",
    ),
}

_CLASSES: Phrases = {
    "class_missing_in_train": (
        "{n:class|classes} without an image in train, left out: {classes:, }",
        "{n:,} 个类别在 train 中没有图像，已剔除：{classes:、}",
    ),
    "class_missing": (
        "{n:class|classes} without an image in {split}: {classes:, }",
        "{n:,} 个类别在 {split} 中没有图像：{classes:、}",
    ),
    "few_images": (
        "{n:class|classes} with fewer than {least} images: {classes:, }",
        "{n:,} 个类别的图像少于 {least} 张：{classes:、}",
    ),
    "similar_classes": (
        '{n:class|classes} whose names differ only in case or spaces: "{classes:", "}". Are they '
        "the same class?",
        "{n:,} 个类别的名称只有大小写或空格不同：“{classes:”、“}”，是否为同一类别？",
    ),
    "one_class": (
        "only {n:class|classes}: nothing to classify",
        "只有 {n:,} 个类别，无法分类",
    ),
    "imbalance": (
        "{n:class|classes} of very different size: {most} has {most_images:image|images}, "
        "{least} {least_images:,}",
        "{n:,} 个类别的图像数量相差悬殊：{most} {most_images:,} 张，{least} {least_images:,} 张",
    ),
}

DATASET: Phrases = {**_SPLITS, **_FILES, **_IMAGES, **_DUPLICATES, **_CLASSES}
