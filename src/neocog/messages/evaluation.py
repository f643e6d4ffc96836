"""Messages about a trained classifier: how it was selected, and notes on its accuracy."""

from neocog.messages.phrases import Phrases

_UNCHECKED = "cannot check whether these images were used for training"

EVALUATION: Phrases = {
    # how the penalty of a fitted head was chosen
    "penalty_by_validation": (
        "the log-loss on {n:validation image|validation images}",
        "{n:,} 张验证图像上的对数损失",
    ),
    "penalty_by_folds": (
        "{folds}-fold cross-validation on {n:training image|training images}",
        "{n:,} 张训练图像上的 {folds} 折交叉验证",
    ),
    "penalty_guessed": (
        "a guess, since there are too few images to hold any out",
        "图像太少，无法留出一部分来选择，因此取默认值",
    ),
    # notes on an evaluation
    "few_test_images": (
        "{n:image is|images are} too few for a reliable estimate",
        "只有 {n:,} 张图像，不足以得到可靠的估计",
    ),
    "few_class_images": (
        "{classes:, }: too few images for reliable results",
        "{classes:、}：图像太少，结果不可靠",
    ),
    "not_recorded": (
        "the result could not be recorded in {folder} ({reason})",
        "结果未能写入 {folder}（{reason}）",
    ),
    "evaluated_split": (
        "evaluated on the {split} images of the dataset",
        "在该数据集自带的 {split} 部分上评估",
    ),
    "without_ink": (
        "{n:image|images} without ink left out",
        "剔除 {n:,} 张没有笔迹的图像",
    ),
    "unknown_classes": (
        "left out: {n:image|images} of {count:class|classes} that the classifier does not know: "
        "{classes:, }",
        "剔除 {n:,} 张图像，它们属于分类器不认识的 {count:,} 个类别：{classes:、}",
    ),
    "many_unknown_classes": (
        "left out: {n:image|images} of {count:class|classes} that the classifier does not know: "
        "{classes:, } and {more:,} more",
        "剔除 {n:,} 张图像，它们属于分类器不认识的 {count:,} 个类别：{classes:、}，"
        "另有 {more:,} 个",
    ),
    "matched_class": (
        '"{name}" is evaluated as "{known}": the names differ only in case or spaces',
        "“{name}”按“{known}”评估：名称只有大小写或空格不同",
    ),
    "similar_class_names": (
        '"{name}" and "{similar:" and "}" differ only in case or spaces: if they are the same '
        "class, give them the same name",
        "“{name}”与“{similar:”、“}”只有大小写或空格不同：若为同一类别，请统一名称",
    ),
    "trained_on": (
        "{n:,} of these {total:image|images} {n:|was|were} used for training: the accuracy is too "
        "high",
        "{total:,} 张图像中有 {n:,} 张曾用于训练：准确率偏高",
    ),
    "training_data_missing": (
        f"{_UNCHECKED}: {{data}} is missing",
        "无法检查这些图像是否曾用于训练：找不到 {data}",
    ),
    "training_data_unknown": (
        f"{_UNCHECKED}: the training data is missing",
        "无法检查这些图像是否曾用于训练：找不到训练数据",
    ),
    "training_data_changed": (
        "cannot fully check whether these images were used for training: {data} has changed since",
        "无法全面检查这些图像是否曾用于训练：{data} 此后有改动",
    ),
}
