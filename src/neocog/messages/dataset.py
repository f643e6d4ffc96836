"""Sentences about a dataset: how it was split, and what its checks found."""

from neocog.messages.phrases import Phrases

_SPLITS: Phrases = {
    "split_official": (
        "the official {test:test image|test images}, {validation:,} of the rest as validation; "
        "stratified, the same for every seed",
        "测试集为官方的 {test:,} 张图像，另从训练图像中取 {validation:,} 张作验证集；"
        "分层抽样，与随机种子无关",
    ),
    "split_stratified": (
        "{test:image|images} set apart as test, {validation:,} of the rest as validation; "
        "stratified, the same for every seed",
        "留出 {test:,} 张图像作测试集，再从其余图像中取 {validation:,} 张作验证集；"
        "分层抽样，与随机种子无关",
    ),
    "split_by_content": (
        "{test:image|images} set apart as test, {validation:,} of the rest as validation; "
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
        "train, validation and test as they were given",
        "训练集、验证集和测试集沿用数据集原有的划分",
    ),
}

# By the kind of a finding; `n` is its count.
_FILES: Phrases = {
    "link": (
        "{n:link|links} to something outside, or to nothing: not followed (--follow-links follows "
        "what leads outside)",
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
        "{n:file that is no image by its name|files that are no images by name}",
        "{n:,} 个文件从名称看不是图像",
    ),
    "unread_folder": (
        "{n:folder|folders} that cannot be read",
        "{n:,} 个文件夹无法读取",
    ),
    "no_class": (
        "{n:image|images} in no class folder: nothing says what {n:|it shows|they show}",
        "{n:,} 张图像不在任何类别文件夹中：无从得知类别",
    ),
    "beside_splits": (
        "{n:image|images} beside the folders of the splits",
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
        "{n:file|files} that the table names and that {n:|is|are} not there",
        "表格列出的 {n:,} 个文件不存在",
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
        "{n:image|images} of another format than {n:|its name says|their names say}: read",
        "{n:,} 张图像的实际格式与扩展名不符：已读取",
    ),
}

_IMAGES: Phrases = {
    "turned": (
        "{n:image|images} turned upright as {n:|its|their} EXIF says",
        "{n:,} 张图像已按 EXIF 信息转正",
    ),
    "exif_stale": (
        "{n:image|images} whose EXIF says to turn what seems to be turned already: look at "
        "{n:|it|them}",
        "{n:,} 张图像的 EXIF 要求旋转，但图像似乎已经转正：请查看",
    ),
    "exif_missing": (
        "{n:JPEG|JPEGs} without EXIF, most others have it: whether {n:|it is|they are} upright is "
        "not known",
        "{n:,} 张 JPEG 图像没有 EXIF，而其余多数都有：无法判断方向是否正确",
    ),
    "elongated": (
        "{n:image|images} more than {ratio:g} times as long as wide: photos are cut to their "
        "middle (--set fit=square shows all of it)",
        "{n:,} 张图像的长边超过短边的 {ratio:g} 倍：只取照片的中间部分"
        "（--set fit=square 可保留整幅图像）",
    ),
    "blank": (
        "{n:image|images} of one colour, blank or transparent: look at {n:|it|them}",
        "{n:,} 张图像只有一种颜色，空白或透明：请查看",
    ),
    "modes": (
        "{n:image in another colour mode|images in other colour modes} ({modes:, }), read as RGB",
        "{n:,} 张图像为其他颜色模式（{modes:、}），按 RGB 读取",
    ),
    "grey_to_rgb": (
        "{n:image|images} in shades of grey: the one channel is repeated as red, green and blue, "
        "which is what the network takes",
        "{n:,} 张灰度图像：单个通道复制为网络所需的红、绿、蓝三个通道",
    ),
    "none_usable": (
        "{n:image, and it cannot|images, and none of them can} be used",
        "共 {n:,} 张图像，没有一张可用",
    ),
}

_DUPLICATES: Phrases = {
    "conflicting_labels": (
        "{n:copy|copies} of an image under another label: all of them are left out, since nobody "
        "knows which label is right",
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
        "{n:image|images} nearly the same as one with another label: look at {n:|it|them}",
        "{n:,} 张图像与标签不同的另一张图像几乎相同：请查看",
    ),
    "duplicates": (
        "{n:duplicate image|duplicate images}: each is used once",
        "{n:,} 张重复图像：每张只用一次",
    ),
    "near_duplicates": (
        "{n:image that is|images that are} nearly the same as another: kept on one side of a split",
        "{n:,} 张图像与另一张几乎相同：划分时放在同一部分",
    ),
    "group_across_splits": (
        "{n:image|images} of a group that also has validation or test images: removed",
        "{n:,} 张图像与验证集或测试集中的图像同属一组：已剔除",
    ),
    "groups": (
        "{n:group|groups} of images given: the images of a group stay on one side of a split",
        "数据集给出了 {n:,} 组图像：同组图像划分在同一部分",
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
        '{n:class|classes} whose names differ by case or spaces only: "{classes:", "}": are they '
        "one?",
        "{n:,} 个类别的名称只有大小写或空格不同：“{classes:”、“}”，是否为同一类别？",
    ),
    "one_class": (
        "{n:class|classes}: there is nothing to tell apart",
        "只有 {n:,} 个类别，无从区分",
    ),
    "imbalance": (
        "{n:class|classes} of very different size: {most} {most_images:,}, {least} "
        "{least_images:image|images}",
        "{n:,} 个类别的图像数量相差悬殊：{most} {most_images:,} 张，{least} {least_images:,} 张",
    ),
}

DATASET: Phrases = {**_SPLITS, **_FILES, **_IMAGES, **_DUPLICATES, **_CLASSES}
