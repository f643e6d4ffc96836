"""Phrases of the report, in English and Chinese."""

from collections.abc import Callable

from neocog.rendering.i18n import Phrases

Translate = Callable[..., str]  # (key, **placeholders) -> phrase

REPORT: Phrases = {
    # the verdict
    "title": ("{run}: report", "{run}：报告"),
    "headline": (
        "{accuracy} of {n:test image|test images} classified correctly",
        "{n} 张测试图像中，{accuracy} 分类正确",
    ),
    "interval": ("95% interval {low} to {high}", "95% 置信区间：{low} 至 {high}"),
    "errors": ("{count:mistake|mistakes}", "错 {count} 张"),
    "what": (
        "{model}, trained on {data} with the recipe {recipe}, {date}.",
        "模型 {model}，用配方 {recipe} 在 {data} 上训练，{date}。",
    ),
    "printed": ("The published figure is {accuracy}.", "原文给出的结果是 {accuracy}。"),
    "chosen_validation/accuracy": (
        "Chosen by the accuracy on {n:validation image|validation images}: epoch {epoch} of {epochs}. "
        "The test images were not used for this choice.",
        "依据 {n} 张验证图像上的准确率选出：共 {epochs} 轮，取第 {epoch} 轮。测试集没有参与选择。",
    ),
    "chosen_validation/loss": (
        "Chosen by the loss on {n:validation image|validation images}: epoch {epoch} of {epochs}. "
        "The test images were not used for this choice.",
        "依据 {n} 张验证图像上的损失选出：共 {epochs} 轮，取第 {epoch} 轮。测试集没有参与选择。",
    ),
    "chosen_train/accuracy_after": (
        "Chosen by the accuracy on the training images: epoch {epoch} of {epochs}. This favours "
        "overfitting. The test images were not used for this choice.",
        "依据训练集准确率选出：共 {epochs} 轮，取第 {epoch} 轮。这种选法偏向过拟合的模型；测试集没有参与选择。",
    ),
    "chosen_last": (
        "No selection: this is the model after the last epoch, {epoch}.",
        "没有经过选择：这是最后一轮（第 {epoch} 轮）结束时的模型。",
    ),
    "chosen_head": (
        "Only the head was fitted; its L2 penalty was chosen by {by}. The test images were not used "
        "for this choice.",
        "只拟合了输出层。L2 惩罚强度的选择依据：{by}。测试集没有参与选择。",
    ),
    "folds": (
        "{n}-fold cross-validation on {images} images: accuracy {mean} ± {std} ({each}).",
        "{images} 张图像上的 {n} 折交叉验证：准确率 {mean} ± {std}（{each}）。",
    ),
    "model_file": ("Model file", "模型文件"),
    "contents": ("Contents", "目录"),
    # model and training setup
    "trained": ("Model and training setup", "模型与训练设置"),
    "repeat": ("Command to reproduce this run", "复现命令"),
    "diagram_note": (
        "From the image to the classes: each card is a layer or a block of layers, with its output "
        "shape (channels × height × width) and its number of parameters. In total, "
        "{parameters:parameter|parameters} and {flops} FLOPs per image.",
        "从图像到类别：每张卡片是一层或一个块，标出输出形状（通道 × 高 × 宽）和参数数量。"
        "共有 {parameters} 个参数，处理一张图像需要 {flops} FLOPs。",
    ),
    "frozen_note": (
        "Only the head was fitted; the backbone keeps its pretrained weights.",
        "只拟合了输出层，前面各层保持预训练权重不变。",
    ),
    "block_title": (
        "{flops} FLOPs per image; receptive field {seen} × {seen} pixels",
        "每张图像 {flops} FLOPs；感受野 {seen} × {seen} 像素",
    ),
    "parameters": ("{n:parameter|parameters}", "{n} 个参数"),
    "stride": (", stride {n}", "，步幅 {n}"),
    "kind_input": ("image", "图像"),
    "kind_conv": ("convolution", "卷积"),
    "kind_pool": ("max pooling", "最大汇聚"),
    "kind_AvgPool2d": ("average pooling", "平均汇聚"),
    "kind_AdaptiveMaxPool2d": ("global max pooling", "全局最大汇聚"),
    "kind_Subsampling": ("subsampling", "下采样"),
    "kind_RbfOutput": ("distance to the code of each class (RBF)", "到各类别编码的距离（RBF）"),
    "kind_Flatten": ("flatten", "展平"),
    "kind_global": ("global average pooling", "全局平均汇聚"),
    "kind_full": ("fully connected", "全连接"),
    "kind_attention": ("attention", "注意力"),
    "kind_other": ("layer", "层"),
    "count_conv": ("convolutions: {n}", "卷积 {n} 个"),
    "count_attention": ("attention: {n}", "注意力 {n} 个"),
    "count_full": ("fully connected: {n}", "全连接 {n} 个"),
    "count_pool": ("pooling: {n}", "汇聚 {n} 个"),
    "count_blocks": ("{n:block|blocks}", "{n} 个块"),
    "all_layers": ("{n:layer|layers} in all", "全部 {n} 层"),
    "layer": ("layer", "层"),
    "layer_kind": ("kind", "类型"),
    "kernel": ("kernel / stride", "卷积核 / 步幅"),
    "output": ("output", "输出形状"),
    "parameters_head": ("parameters", "参数"),
    "flops_head": ("FLOPs", "FLOPs"),
    "receptive_field": ("receptive field (pixels)", "感受野（像素）"),
    "recipe": ("Recipe", "配方"),
    "recipe_note": (
        "The fields of the recipe that differ from the defaults, under the names that --set takes.",
        "配方中与默认值不同的各项，名称与 --set 所用的相同。",
    ),
    "data": ("Data", "数据"),
    "split": ("split", "划分"),
    "images": ("images", "图像"),
    "fingerprint": ("fingerprint", "指纹"),
    "train": ("train", "训练"),
    "validation": ("validation", "验证"),
    "test": ("test", "测试"),
    "data_note": (
        "{classes:class|classes}; images of {shape} (height × width × channels); {note}. "
        "The fingerprint is a hash of the images, the labels and their order.",
        "共 {classes} 个类别；图像为 {shape}（高 × 宽 × 通道）；{note}。"
        "指纹是图像、标签及其顺序的哈希值。",
    ),
    "environment": ("Environment", "环境"),
    "env_versions": ("versions", "版本"),
    "env_machine": ("machine", "机器"),
    "env_system": ("system", "系统"),
    "env_threads": ("threads", "线程"),
    "env_commit": ("commit", "提交"),
    "env_seed": ("seed", "随机种子"),
    "env_started": ("started", "开始时间"),
    # curves
    "curves": ("Training curves", "训练曲线"),
    "curves_note": (
        "The loss should fall and the accuracy rise. If the training curve keeps improving while the "
        "validation curve does not, the model is overfitting. The training curve is measured during "
        "the epoch, in training mode.",
        "损失应下降，准确率应上升。如果训练曲线继续变好而验证曲线不再变好，说明模型过拟合。"
        "训练曲线是在该轮训练过程中、训练模式下测得的。",
    ),
    "softened": (
        "Augmentation makes the training curve look worse than the model is.",
        "训练使用了数据增广，因此训练曲线看起来比模型的真实水平差。",
    ),
    "no_validation": (
        "There is no validation split, so there is no validation curve.",
        "没有划分验证集，因此没有验证曲线。",
    ),
    "loss_of": ("loss ({loss})", "损失（{loss}）"),
    "loss_two": (
        "loss (train: {train}; validation: {validation})",
        "损失（训练：{train}；验证：{validation}）",
    ),
    "loss_cross_entropy": ("cross-entropy", "交叉熵"),
    "loss_nll": ("negative log-likelihood", "负对数似然"),
    "loss_map": ("maximum a posteriori criterion", "最大后验准则"),
    "loss_squared_error": ("squared error", "平方误差"),
    "loss_smoothed": ("{loss}, label smoothing {share}", "{loss}，标签平滑 {share}"),
    "mirrored_validation": (
        "The validation curve averages the outputs for each image and its mirror image.",
        "验证曲线取每张图像与其镜像的输出的平均。",
    ),
    "accuracy": ("accuracy", "准确率"),
    "learning_rate": ("learning rate", "学习率"),
    "epoch": ("epoch", "轮次"),
    "train_after": ("train, after the epoch", "训练（轮末）"),
    "kept": ("selected", "选定"),
    "no_curves": (
        "There are no curves: the head was fitted in one step, without epochs.",
        "没有训练曲线：输出层一次拟合完成，没有逐轮训练。",
    ),
    "penalty": ("L2 penalty", "L2 惩罚"),
    "held_out_loss": ("log-loss on held-out images", "留出图像的对数损失"),
    "penalty_note_least": (
        "The head is fitted to convergence for a range of L2 penalties; the one with the lowest loss "
        "on held-out images is used. A smaller penalty overfits, a larger one underfits.",
        "对一系列 L2 惩罚强度分别把输出层拟合到收敛，取留出图像上损失最小的一个。惩罚过小会过拟合，过大会欠拟合。",
    ),
    "penalty_note": (
        "The head is fitted to convergence for a range of L2 penalties. Each fit is evaluated by its "
        "log-loss on held-out images, with one more image counted as wrong, because a few images "
        "without a mistake do not prove certainty. Of the penalties within one standard error of the best, "
        "the strongest is used. A smaller penalty overfits, a larger one underfits.",
        "对一系列 L2 惩罚强度分别把输出层拟合到收敛，用留出图像上的对数损失评估，并多算一张分类错误的图像："
        "少量图像全部分类正确，不能说明模型不会出错。在与最优相差不超过一个标准误的惩罚中，取最强的一个。"
        "惩罚过小会过拟合，过大会欠拟合。",
    ),
    "one_more_wrong": ("with one more image wrong", "多算一张错误图像"),
    "as_measured": ("as measured", "实测"),
    "refit": (
        "With this penalty the head was then fitted to all {n:image|images} of train and "
        "validation. Validation figures are from the earlier fit, on the training images only.",
        "然后以该惩罚强度在训练和验证的全部 {n} 张图像上重新拟合输出层。验证集上的数字来自此前只用训练图像的拟合。",
    ),
    "class_weights": (
        "The classes have unequal numbers of images and count the same in the fit: an image weighs "
        "from {least} ({low}) to {most} ({high}).",
        "各类别图像数量不等，拟合时各类别总权重相同：单张图像的权重从 {least}（{low}）到 {most}（{high}）。",
    ),
    "tuning_skipped": (
        "Validation is perfect, so fine-tuning could not be seen to improve it and did not start.",
        "验证图像已全部分类正确，微调无法再体现改进，因此没有进行。",
    ),
    # confusion
    "confusion": ("Confusion matrix", "混淆矩阵"),
    "confusion_note": (
        "Rows are true classes, columns predicted classes; correct predictions are on the diagonal. "
        "The shade shows the fraction of the row, exaggerated for mistakes. Click a cell to see its "
        "images.",
        "行是真实类别，列是预测类别，对角线上是预测正确的图像。颜色深浅表示占该行的比例（错误的颜色有意加深）。"
        "点击格子查看其中的图像。",
    ),
    "true": ("true", "真实"),
    "predicted": ("predicted", "预测"),
    "cell_right": ("{true}: correct", "{true}：预测正确"),
    "cell_wrong": ("{true} predicted as {predicted}", "{true} 误判为 {predicted}"),
    "cell_title": (
        "{true} → {predicted}: {count} of {total}",
        "{true} → {predicted}：{total} 张中的 {count} 张",
    ),
    "cell_all": ("{count:image|images}, {order}.", "{count} 张图像，{order}。"),
    "cell_some": (
        "{shown} of {count:image|images} shown, {order}.",
        "共 {count} 张，显示 {shown} 张，{order}。",
    ),
    "cell_none": (
        "{count:image|images}; not shown, for lack of space.",
        "{count} 张图像；因篇幅所限未显示。",
    ),
    "least_first": ("lowest confidence first", "置信度从低到高"),
    "most_first": ("highest confidence first", "置信度从高到低"),
    "close": ("Close", "关闭"),
    "worst_pairs": ("Most frequent confusions", "最常见的混淆"),
    "taken_for": ("predicted as", "误判为"),
    "count": ("count", "数量"),
    "share_of_class": ("of the class", "占该类别"),
    "too_many_classes": (
        "With {n} classes the matrix would not be legible; these are its largest cells. Click a "
        "number to see its images.",
        "共有 {n} 个类别，矩阵难以辨认；下面列出数值最大的格子。点击数字查看图像。",
    ),
    # per class
    "per_class": ("Results per class", "各类别的结果"),
    "classes_note": (
        "Precision: the fraction of the images predicted as the class that belong to it. Recall: the "
        "fraction of the images of the class that were predicted as it. F1 is their harmonic mean.",
        "精确率：预测为该类别的图像中，确实属于该类别的比例。召回率：属于该类别的图像中，预测正确的比例。"
        "F1 是两者的调和平均。",
    ),
    "worst_first": ("Sorted by ascending F1.", "按 F1 从低到高排列。"),
    "class": ("class", "类别"),
    "precision": ("precision", "精确率"),
    "recall": ("recall", "召回率"),
    "most_often": ("most often predicted as", "最常误判为"),
    # reliability
    "reliability": ("Calibration", "校准"),
    "reliability_note": (
        "Points above the diagonal: the model is underconfident; below: overconfident. Vertical bars "
        "are 95% confidence intervals, grey bars at the bottom the number of images. The expected "
        "calibration error is {error} ({bins} bins).",
        "点在对角线上方，说明模型低估了自己的准确率；在下方则是高估。竖线是 95% 置信区间，底部灰柱表示图像数量。"
        "期望校准误差（ECE）为 {error}（{bins} 个区间）。",
    ),
    "claimed": ("predicted probability", "预测概率"),
    "right_share": ("accuracy", "准确率"),
    "bin": (
        "probability {claimed}, accuracy {right} ({low} to {high}), {n:image|images}",
        "预测概率 {claimed}，准确率 {right}（{low} 至 {high}），{n} 张图像",
    ),
    "rejection": (
        "Rejecting the {rejected} least confident predictions would leave at most {error} errors.",
        "拒绝置信度最低的 {rejected} 的图像，可使其余预测的错误率不超过 {error}。",
    ),
    "rejects_none": (
        "Without rejecting any image, at most {error} of the predictions are wrong.",
        "不拒绝任何图像，错误率也不超过 {error}。",
    ),
    "too_few_to_reject": (
        "Too few images to find a threshold with an error rate of at most {error}: it must leave at "
        "least {needed} predictions.",
        "图像太少，无法确定错误率不超过 {error} 的阈值：阈值之上至少要有 {needed} 个预测。",
    ),
    "no_rejection": (
        "No threshold reaches an error rate of at most {error}.",
        "没有阈值能使错误率不超过 {error}。",
    ),
    # mistakes
    "mistakes": ("Worst mistakes", "最严重的错误"),
    "mistakes_note": (
        "Wrong predictions, highest confidence first. Check whether the label is correct.",
        "预测错误的图像，置信度从高到低排列。请检查标签本身是否正确。",
    ),
    "no_mistakes": ("There are no mistakes.", "没有错误。"),
    "cam_note": (
        "Beside each image is its Grad-CAM (layer {layer}): warmer colours mark what supports the "
        "prediction.",
        "每张图像旁边是 Grad-CAM 热图（取自 {layer} 层）：颜色越暖，该处越支持预测结果。",
    ),
    "no_cam": (
        "This network has no feature maps, so there is no Grad-CAM.",
        "这个网络没有特征图，因此没有 Grad-CAM 热图。",
    ),
    "unsure": ("Least confident predictions", "置信度最低的预测"),
    "unsure_note": (
        "The images with the lowest top probability, whether the prediction is right or wrong.",
        "最大概率最低的图像，不论预测对错。",
    ),
    "is": ("label: {label}", "标签：{label}"),
    "says": ("{label}", "{label}"),
    # augmented training images
    "seen": ("Training images after augmentation", "数据增广后的训练图像"),
    "seen_changed": (
        "The first training images as the network receives them, with the random changes of the "
        "recipe ({changes}). Check that they are still recognisable.",
        "第一批训练图像经过配方的随机变换（{changes}）后输入网络的样子。请检查是否仍可辨认。",
    ),
    "seen_plain": (
        "The first training images as the network receives them. The recipe has no augmentation.",
        "第一批训练图像输入网络时的样子。该配方不做数据增广。",
    ),
    # filters
    "filters": ("Filters of the first layer", "第一层的卷积核"),
    "filters_conv": (
        "The first layer, {layer}, has {n:filter|filters} of {shape}. Smooth patterns detect edges, strokes "
        "or colours; noisy ones have learnt little.",
        "第一层 {layer} 有 {n} 个形状为 {shape} 的卷积核。平滑的图案表示学到了边缘、笔画或颜色；"
        "噪声状的图案表示学到的不多。",
    ),
    "filters_some": ("The first {shown} of {n} are shown.", "共 {n} 个，显示前 {shown} 个。"),
    # feature maps
    "maps": ("Layer outputs for three images", "三张图像的各层输出"),
    "maps_note": (
        "Feature maps of correctly classified images. Bright is high and dark is low; with negative "
        "values, orange is positive and blue negative. Early layers keep the shapes in the image, "
        "late layers what it shows.",
        "预测正确的图像在各层的特征图。亮表示激活强，暗表示激活弱；有负值时橙色为正、蓝色为负。"
        "靠前的层保留图像中的形状，靠后的层保留图像的内容。",
    ),
    "maps_some": (
        "{shown} of {n:layer|layers} shown; of each at most {most} maps.",
        "显示 {n} 层中的 {shown} 层；每层最多 {most} 个特征图。",
    ),
    "first_maps": ("the first {shown} of {n}", "前 {shown} 个，共 {n} 个"),
    "answer": ("prediction", "预测"),
    "image_of": ("An image of {label}", "一张 {label} 的图像"),
    "list_comma": (", ", "、"),
    "gap": (" ", ""),  # between sentences
    "colon": (": ", "："),
    # findings
    "findings": ("Problems in the dataset", "数据集中的问题"),
    "findings_published": (
        "Published datasets are not checked.",
        "这是公开发布的数据集，没有做检查。",
    ),
    "findings_none": ("The check found no problems.", "检查没有发现问题。"),
    "findings_note": (
        "Problems found before training. `neocog data` shows the images.",
        "训练前检查发现的问题。用 neocog data 可以查看相应的图像。",
    ),
    # timings
    "timings": ("Time", "耗时"),
    "timings_note": (
        "{total} for these steps. Starting the program and drawing the plots and this page are not "
        "counted.",
        "以下各步共 {total}，不含启动程序、绘图和生成本页的时间。",
    ),
    "time_data": ("loading the data", "读取数据"),
    "time_features": ("computing features", "提取特征"),
    "time_head": ("fitting the head", "拟合输出层"),
    "time_training": ("training", "训练"),
    "time_evaluation": ("evaluation", "评估"),
    "what_head": ("step", "步骤"),
    "time_head_column": ("time", "时间"),
    "share": ("share", "占比"),
    "per_epoch": ("{time} per epoch", "每轮 {time}"),
    "features_kept": (
        "of {n:image|images} from the cache",
        "其中 {n} 张图像的特征来自缓存",
    ),
    "per_second": ("{n:image|images} per second", "每秒 {n} 张图像"),
    "made_by": (
        "Generated by neocog {version}.",
        "由 neocog {version} 生成。",
    ),
}

# Random changes to images by field of the recipe; `mirrored` and `views` for a fitted head.
CHANGES: Phrases = {
    "augment_shift_pixels": ("shifted by up to {n:pixel|pixels}", "平移至多 {n} 像素"),
    "augment_rotate_degrees": ("rotated by up to {n}°", "旋转至多 {n}°"),
    "augment_scale_fraction": ("scaled by up to {n}", "缩放至多 {n}"),
    "augment_shear_fraction": ("sheared by up to {n}", "错切至多 {n}"),
    "augment_stroke_fraction": ("some with thicker or thinner strokes", "部分笔画加粗或变细"),
    "augment_grow_pixels": (
        "enlarged to {n:pixel|pixels} and cropped",
        "放大到 {n} 像素后随机裁剪",
    ),
    "augment_elastic_pixels": (
        "elastically deformed by about {n:pixel|pixels}",
        "弹性形变约 {n} 像素",
    ),
    "augment_worn_fraction": (
        "some with gaps, faded or cut-off ends",
        "部分笔画有断口、变浅或被裁掉",
    ),
    "augment_hand_fraction": (
        "some 1, 7 and 9 with upstrokes, bars and feet",
        "部分 1、7、9 加上起笔、横杠或底脚",
    ),
    "augment_flip": ("half of them flipped", "一半水平翻转"),
    "mirrored": ("half of them flipped", "一半水平翻转"),
    "views": ("some flipped, some cropped", "部分水平翻转，部分裁剪"),
}
