"""What a run's report says, in English and Chinese."""

from collections.abc import Callable

from neocog.report.words import Phrases

Say = Callable[..., str]  # a phrase's key, and what is filled in, to the phrase

REPORT: Phrases = {
    # the verdict
    "title": ("{run}: report", "{run}：报告"),
    "headline": (
        "{accuracy} of {n:test image|test images} right",
        "{n} 张测试图片中，{accuracy} 判断正确",
    ),
    "interval": ("95% interval {low} to {high}", "95% 置信区间 {low} 至 {high}"),
    "errors": ("{count:mistake|mistakes}", "错 {count} 张"),
    "what": (
        "{model}, trained on {data} by the recipe {recipe}, {date}.",
        "网络 {model}，按配方 {recipe} 在 {data} 上训练，{date}。",
    ),
    "printed": ("Its source printed {accuracy}.", "其出处给出的数字是 {accuracy}。"),
    "chosen_validation/accuracy": (
        "Chosen by the accuracy on {n:validation image|validation images}: epoch {epoch} of {epochs}. "
        "The test images had no part in it.",
        "依据 {n} 张验证图片上的准确率选出：共 {epochs} 轮，取第 {epoch} 轮。"
        "测试图片没有参与选择。",
    ),
    "chosen_validation/loss": (
        "Chosen by the loss on {n:validation image|validation images}: epoch {epoch} of {epochs}. "
        "The test images had no part in it.",
        "依据 {n} 张验证图片上的损失选出：共 {epochs} 轮，取第 {epoch} 轮。测试图片没有参与选择。",
    ),
    "chosen_train/accuracy_after": (
        "Chosen by the accuracy on the training images themselves: epoch {epoch} of {epochs}. "
        "That favours what was learnt by heart; the test images had no part in it.",
        "依据训练图片自身的准确率选出：共 {epochs} 轮，取第 {epoch} 轮。这种选法偏向死记硬背；"
        "测试图片没有参与选择。",
    ),
    "chosen_last": (
        "Not chosen by anything: it is the network as it was after the last epoch, {epoch}.",
        "没有经过挑选：这就是最后一轮（第 {epoch} 轮）结束时的网络。",
    ),
    "chosen_head": (
        "Only the last layer was fitted; how strongly its weights are held down was chosen by "
        "{by}. The test images had no part in it.",
        "只拟合了最后一层；其权重的惩罚强度由{by}选出。测试图片没有参与选择。",
    ),
    "folds": (
        "How much depends on which images it learns from: {n} fits, each judged on the part of "
        "{images} images that it had not seen, were right {mean} ± {std} of the time ({each}).",
        "结果在多大程度上取决于用哪些图片训练：把 {images} 张图片分成 {n} 份轮流留出评判，"
        "{n} 次拟合的准确率为 {mean} ± {std}（{each}）。",
    ),
    "model_file": ("Model file", "模型文件"),
    "contents": ("Contents", "目录"),
    # what was trained
    "trained": ("What was trained", "训练了什么"),
    "repeat": ("The command to repeat it", "重现所用的命令"),
    "diagram_note": (
        "From the image to the classes: each card is a layer or a block of layers, with the "
        "shape that leaves it (channels × height × width) and how many parameters it has. All in "
        "all {parameters:parameter|parameters} and {flops} operations an image.",
        "从图片到类别：每张卡片是一层或一组层，标出输出的形状（通道 × 高 × 宽）"
        "和参数个数。共有 {parameters} 个参数，处理一张图片需 {flops} 次运算。",
    ),
    "frozen_note": (
        "Only the last layer was fitted here; the layers before it are as they came.",
        "这里只拟合了最后一层，前面各层保持原来的权重。",
    ),
    "block_title": (
        "{flops} operations an image; a number here sees {seen} × {seen} pixels",
        "每张图片 {flops} 次运算；这里的一个数值能看到 {seen} × {seen} 个像素",
    ),
    "parameters": ("{n:parameter|parameters}", "{n} 个参数"),
    "stride": (", stride {n}", "，步幅 {n}"),
    "kind_input": ("image", "图片"),
    "kind_conv": ("convolution", "卷积"),
    "kind_pool": ("max pooling", "最大池化"),
    "kind_AvgPool2d": ("average pooling", "平均池化"),
    "kind_AdaptiveMaxPool2d": ("maximum of each map", "全局最大池化"),
    "kind_Subsampling": ("subsampling", "下采样"),
    "kind_RbfOutput": ("distance to each class's code", "到各类编码的距离（RBF）"),
    "kind_Flatten": ("flattened", "展平"),
    "kind_global": ("mean of each map", "全局平均池化"),
    "kind_full": ("fully connected", "全连接"),
    "kind_attention": ("attention", "注意力"),
    "kind_other": ("layer", "层"),
    "count_conv": ("convolutions: {n}", "卷积 {n} 个"),
    "count_attention": ("attention: {n}", "注意力 {n} 个"),
    "count_full": ("fully connected: {n}", "全连接 {n} 个"),
    "count_pool": ("pooling: {n}", "池化 {n} 个"),
    "count_blocks": ("{n:block|blocks}", "{n} 个块"),
    "all_layers": ("{n:layer|layers} in all", "全部 {n} 层"),
    "layer": ("layer", "层"),
    "layer_kind": ("kind", "类型"),
    "kernel": ("kernel / stride", "卷积核 / 步幅"),
    "output": ("output", "输出形状"),
    "parameters_head": ("parameters", "参数"),
    "flops_head": ("operations", "运算"),
    "sees": ("sees, pixels", "感受野（像素）"),
    "recipe": ("Recipe", "配方"),
    "recipe_note": (
        "The recipe's values, by the names that --set takes; the others have their defaults.",
        "配方的各项取值，名称与 --set 所用的相同；未列出的都是默认值。",
    ),
    "data": ("Data", "数据"),
    "split": ("split", "划分"),
    "images": ("images", "图片"),
    "fingerprint": ("fingerprint", "指纹"),
    "train": ("train", "训练"),
    "validation": ("validation", "验证"),
    "test": ("test", "测试"),
    "data_note": (
        "{classes:class|classes}; images of {shape} (height × width × channels); {note}. "
        "The fingerprint is made of the images, labels and their order: another fingerprint, "
        "other data.",
        "共 {classes} 个类别；图片为 {shape}（高 × 宽 × 通道）；{note}。"
        "指纹由图片、标签及其顺序算出：指纹不同，数据就不同。",
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
    "curves": ("How it learnt", "学习过程"),
    "curves_note": (
        "Loss should fall and accuracy rise. Where the training line goes on improving and the "
        "validation line does not, the network learns its images by heart. The training line is "
        "measured during the epoch, in training mode.",
        "损失应下降，准确率应上升。如果训练曲线继续变好而验证曲线不再变好，说明网络在死记训练图片。"
        "训练曲线是在该轮训练过程中测得的。",
    ),
    "softened": (
        "It was trained on randomly changed images, which makes the training line look worse than "
        "the network is.",
        "训练时用了随机改动过的图片，因此训练曲线看起来比网络的真实水平差。",
    ),
    "no_validation": (
        "No images were held back for validation, so there is no line of it.",
        "没有留出验证图片，因此没有验证曲线。",
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
        "The validation line averages the outputs for each image and its mirror image.",
        "验证曲线取每张图片与其镜像的输出的平均。",
    ),
    "accuracy": ("accuracy", "准确率"),
    "learning_rate": ("learning rate", "学习率"),
    "epoch": ("epoch", "轮次"),
    "train_after": ("train, after the epoch", "训练（轮末测得）"),
    "kept": ("kept", "保留"),
    "no_curves": (
        "There is no course to show: the last layer was fitted in one go.",
        "没有过程可以显示：最后一层是一次拟合完成的。",
    ),
    "penalty": ("penalty on the weights", "对权重的惩罚"),
    "held_out_loss": ("log-loss on held-out images", "留出图片上的对数损失"),
    "penalty_note_least": (
        "The last layer is fitted to convergence for one penalty after another; the one with the "
        "least loss on held-out images is taken. To the left it learns by heart, to the right it "
        "learns too little.",
        "对每个惩罚强度都把最后一层拟合到收敛，取留出图片上损失最小的一个。偏左是死记硬背，偏右是学得不够。",
    ),
    "penalty_note": (
        "The last layer is fitted to convergence for one penalty after another. Each fit is judged "
        "by its log-loss on held-out images, with one more image counted as wrong: a few images, "
        "all right, are no proof of certainty. Of the penalties within one standard error of the "
        "best, the strongest is taken. To the left the fit memorizes the images, to the right it "
        "learns too little.",
        "对每个惩罚强度都把最后一层拟合到收敛，用留出图片上的对数损失评判，并多算一张判断错误的图片："
        "少量图片全部正确并不能证明确定无疑。在与最优相差不超过一个标准误的惩罚中，取最强的一个。"
        "偏左是死记硬背，偏右是学得不够。",
    ),
    "one_more_wrong": ("with one more image wrong", "多算一张错误图片"),
    "as_measured": ("as measured", "实测"),
    "refit": (
        "With this penalty the last layer was then fitted to all {n} images of train and "
        "validation. Figures of validation are of the fit before that, to train alone.",
        "然后以该惩罚强度在训练和验证的全部 {n} 张图片上重新拟合最后一层。验证集上的数字来自此前只用训练图片的拟合。",
    ),
    "class_weights": (
        "The classes have unequal numbers of images and count the same in the fit: an image weighs "
        "from {least} ({low}) to {most} ({high}).",
        "各类别图片数量不等，拟合时各类别总权重相同：单张图片的权重从 {least}（{low}）到 {most}（{high}）。",
    ),
    "tuning_skipped": (
        "Validation is perfect, so fine-tuning could not be seen to improve it and did not start.",
        "验证图片已全部判断正确，微调无法再体现改进，因此没有进行。",
    ),
    # confusion
    "confusion": ("Confusion matrix", "混淆矩阵"),
    "confusion_note": (
        "A row is a true class, a column what the network said; on the diagonal it was right. The "
        "shade is the share of the row, mistakes are drawn darker than their share. Press a cell "
        "to see its images.",
        "行是真实类别，列是网络的判断，对角线上是判断正确的。颜色深浅表示占该行的比例（错误的颜色有意加深）。"
        "点击格子查看其中的图片。",
    ),
    "true": ("true", "真实"),
    "predicted": ("predicted", "判断"),
    "cell_right": ("{true}: right", "{true}：正确"),
    "cell_wrong": ("{true} taken for {guess}", "{true} 被判断为 {guess}"),
    "cell_title": (
        "{true} → {guess}: {count} of {total}",
        "{true} → {guess}：{total} 张中的 {count} 张",
    ),
    "cell_all": ("{count:image|images}, {order}.", "{count} 张图片，{order}。"),
    "cell_some": (
        "{shown} of {count:image|images} shown, {order}.",
        "共 {count} 张，显示 {shown} 张，{order}。",
    ),
    "cell_none": (
        "{count:image|images}; there was no room here.",
        "{count} 张图片；此处没有空间显示。",
    ),
    "least_first": ("the least sure first", "把握最小的在前"),
    "most_first": ("the most sure first", "把握最大的在前"),
    "close": ("Close", "关闭"),
    "worst_pairs": ("The most frequent confusions", "最常见的混淆"),
    "taken_for": ("taken for", "被判断为"),
    "count": ("count", "数量"),
    "share_of_class": ("of the class", "占该类"),
    "too_many_classes": (
        "With {n} classes a matrix would not be legible; these are its largest cells. Press a "
        "number to see its images.",
        "类别多达 {n} 个，矩阵难以辨认；下面是数值最大的格子。点击数字查看图片。",
    ),
    # per class
    "per_class": ("Class by class", "各类别表现"),
    "classes_note": (
        "Precision: of the images that were called so, the share that is. Recall: of the "
        "images that are so, the share that was found. F1 is the harmonic mean of both.",
        "精确率：被判断为该类的图片中，确属该类的比例。召回率：属于该类的图片中，被找出的比例。"
        "F1 是两者的调和平均。",
    ),
    "worst_first": ("The worst come first.", "表现最差的排在前面。"),
    "class": ("class", "类别"),
    "precision": ("precision", "精确率"),
    "recall": ("recall", "召回率"),
    "most_often": ("most often taken for", "最常被误判为"),
    # reliability
    "reliability": ("Can its probabilities be believed?", "概率是否可信"),
    "reliability_note": (
        "A point above the line: more often right than it claims; below: less often. The bar "
        "through a point is its 95% interval, the grey bars at the bottom say how many images "
        "lie there. On average the claim is off by {error} (expected calibration error, {bins} "
        "bins).",
        "点在对角线上方：实际正确率高于它声称的概率；在下方则相反。穿过点的竖线是 95% 置信区间，"
        "底部灰柱表示该处图片的多少。平均偏差为 {error}（期望校准误差 ECE，{bins} 个区间）。",
    ),
    "claimed": ("probability that it claims", "网络给出的概率"),
    "right_share": ("share that is right", "实际正确的比例"),
    "bin": (
        "claims {claimed}, right {right} ({low} to {high}), {n:image|images}",
        "声称 {claimed}，实际正确 {right}（{low} 至 {high}），{n} 张图片",
    ),
    "rejection": (
        "To be wrong in at most {error} of its answers it would have to refuse {rejected} of these "
        "images: those that it is the least sure of.",
        "若要使答案的错误率不超过 {error}，需要拒绝回答其中把握最小的 {rejected} 的图片。",
    ),
    "rejects_none": (
        "At most {error} of its answers are wrong without refusing any image.",
        "不拒绝任何图片，答案的错误率也不超过 {error}。",
    ),
    "too_few_to_reject": (
        "Too few images to find a threshold with at most {error} wrong answers: it must leave at "
        "least {needed} answers.",
        "图片太少，无法确定错误率不超过 {error} 的阈值：阈值之上至少要有 {needed} 个回答。",
    ),
    "no_rejection": (
        "No threshold makes at most {error} of its answers wrong.",
        "没有阈值能使答案的错误率不超过 {error}。",
    ),
    # mistakes
    "mistakes": ("The worst mistakes", "最严重的错误"),
    "mistakes_note": (
        "Wrong answers, the most confident first. Look whether the label is right.",
        "判断错误的图片，把握最大的在前。请留意标签本身是否正确。",
    ),
    "no_mistakes": ("There are none.", "没有错误。"),
    "cam_note": (
        "Beside each image Grad-CAM: the warmer, the more the place speaks for what the network "
        "said (at {layer}).",
        "每张图片旁边是 Grad-CAM 热图：颜色越暖，该处越支持网络的判断（取自 {layer} 层）。",
    ),
    "no_cam": (
        "This network has no maps, so that Grad-CAM cannot say where it looks.",
        "这个网络没有特征图，无法用 Grad-CAM 显示它看的位置。",
    ),
    "unsure": ("The least sure", "把握最小的图片"),
    "unsure_note": (
        "The images whose largest probability is the smallest, whether right or wrong.",
        "最大概率最小的图片，不论判断对错。",
    ),
    "is": ("is {label}", "真实：{label}"),
    "says": ("says {label}", "判断：{label}"),
    # what the network sees
    "seen": ("What the network sees", "网络看到的图片"),
    "seen_changed": (
        "The first images of training as they go into the network, with the recipe's random "
        "changes ({changes}). Can you still tell what they are?",
        "训练的第一批图片，即带有配方随机改动（{changes}）后送入网络的样子。您还能认出它们吗？",
    ),
    "seen_plain": (
        "The first images of training as they go into the network; the recipe changes nothing "
        "about them.",
        "训练的第一批图片送入网络时的样子；配方没有对它们做任何改动。",
    ),
    # filters
    "filters": ("The first layer's filters", "第一层的滤波器"),
    "filters_conv": (
        "What the first layer, {layer}, looks for: {n:filter|filters} of {shape}. Smooth ones have learnt "
        "an edge, a stroke or a colour; noise means that they have learnt little.",
        "第一层 {layer} 在寻找什么：{n} 个滤波器，形状 {shape}。"
        "平滑的图案表示学到了边缘、笔画或颜色；噪声表示学到的不多。",
    ),
    "filters_some": ("{shown} of {n} are shown.", "显示 {n} 个中的 {shown} 个。"),
    # feature maps
    "maps": ("Three images through every layer", "三张图片逐层的特征图"),
    "maps_note": (
        "What each layer makes of an image that the network has right: light is much, dark is "
        "little; where there are signs, orange is above 0 and blue below. The first layers keep "
        "the image's shape, the last ones keep what it is.",
        "对于判断正确的图片，每一层得到了什么：亮表示响应强，暗表示响应弱；有正负时橙色为正、"
        "蓝色为负。前面的层保留图片的形状，后面的层保留它是什么。",
    ),
    "maps_some": (
        "{shown} of {n:layer|layers} shown; of each at most {most} maps.",
        "显示 {n} 层中的 {shown} 层；每层最多 {most} 个特征图。",
    ),
    "first_maps": ("the first {shown} of {n}", "前 {shown} 个，共 {n} 个"),
    "answer": ("answer", "回答"),
    "image_of": ("An image of {label}", "一张 {label} 的图片"),
    "list_comma": (", ", "、"),
    "gap": (" ", ""),  # between sentences
    "colon": (": ", "："),
    # findings
    "findings": ("What the data doctor found", "数据中的问题"),
    "findings_published": (
        "A published data set: the doctor did not look at it.",
        "这是公开发布的数据集，没有做数据检查。",
    ),
    "findings_none": ("The doctor found nothing.", "数据检查没有发现问题。"),
    "findings_note": (
        "What the data doctor found before training; neocog data shows the images.",
        "训练前数据检查的发现；用 neocog data 可以查看相应的图片。",
    ),
    # timings
    "timings": ("Where the seconds went", "时间花在哪里"),
    "timings_note": (
        "{total} for these steps. Starting the program and drawing the plots and this page are not "
        "counted.",
        "以下各步共 {total}，不含启动程序、绘图和生成本页的时间。",
    ),
    "time_data": ("reading the data", "读取数据"),
    "time_features": ("running the network", "运行网络提取特征"),
    "time_head": ("fitting the last layer", "拟合最后一层"),
    "time_training": ("training", "训练"),
    "time_evaluation": ("test images", "测试评判"),
    "what_head": ("what", "阶段"),
    "seconds": ("{n} s", "{n} 秒"),
    "minutes": ("{n} min", "{n} 分钟"),
    "hours": ("{n} h", "{n} 小时"),
    "time_head_column": ("time", "时间"),
    "share": ("share", "占比"),
    "per_epoch": ("{time} an epoch", "每轮 {time}"),
    "features_kept": (
        "of {n:image|images} kept from before",
        "其中 {n} 张图片的特征沿用以前的计算",
    ),
    "per_second": ("{n:image|images} a second", "每秒 {n} 张图片"),
    "made_by": (
        "Made by neocog {version} with neocog report.",
        "由 neocog {version} 的 neocog report 生成。",
    ),
}

# Random changes to images, by the recipe's fields; for a last layer alone, by its views.
CHANGES: Phrases = {
    "augment_shift_pixels": ("moved by up to {n:pixel|pixels}", "平移至多 {n} 像素"),
    "augment_rotate_degrees": ("turned by up to {n}°", "旋转至多 {n}°"),
    "augment_scale_fraction": ("stretched by up to {n}", "缩放至多 {n}"),
    "augment_shear_fraction": ("sheared by up to {n}", "错切至多 {n}"),
    "augment_stroke_fraction": ("strokes thickened or thinned in some", "部分笔画加粗或变细"),
    "augment_grow_pixels": ("grown to {n:pixel|pixels} and cropped", "放大到 {n} 像素后随机裁剪"),
    "augment_elastic_pixels": ("bent by about {n:pixel|pixels}", "弹性形变约 {n} 像素"),
    "augment_worn_fraction": ("gaps, pale or cut off ends in some", "部分笔画有断口、变浅或被裁掉"),
    "augment_hand_fraction": (
        "upstrokes, bars and feet added to some 1, 7 and 9",
        "部分 1、7、9 加上起笔、横杠或底脚",
    ),
    "augment_flip": ("half of them mirrored", "一半左右镜像"),
    "mirrored": ("half of them mirrored", "一半左右镜像"),
    "views": ("some mirrored, some cropped", "部分镜像，部分裁剪"),
}
