"""Phrases of the pages that `neocog explain` writes."""

from neocog.rendering.i18n import Phrases

EXPLAIN: Phrases = {
    "title": ("What the network sees", "网络看到了什么"),
    "by": ("Predictions of {run}", "模型：{run}"),
    "answer": ("Prediction", "预测结果"),
    "unsure": (
        "Not sure: the probability is below the threshold of {threshold}.",
        "不确定：概率低于阈值 {threshold}。",
    ),
    "input": ("The network's input", "网络的输入"),
    "original": ("original image, {width} × {height}", "原图，{width} × {height}"),
    "prepared": ("network input, {width} × {height}", "网络输入，{width} × {height}"),
    "as_it_is": (
        "The image already has the size and the dark background of the training images, so it is "
        "used unchanged.",
        "图像的尺寸和深色背景与训练图像一致，不作改动。",
    ),
    "digit": (
        "The digit was located (frame), its strokes were normalised, and it was scaled to "
        "{box} × {box} pixels and centred by its centre of mass in {side} × {side}, as in MNIST.",
        "定位数字（框内），统一笔画粗细，缩放到 {box} × {box} 像素，再按质心放在 {side} × {side} 的中央，"
        "与 MNIST 的做法相同。",
    ),
    "crop": (
        "The shorter side was resized to {resize} pixels and the central {side} × {side} cropped "
        "(frame).",
        "短边缩放到 {resize} 像素，再从中央裁剪出 {side} × {side}（框内）。",
    ),
    "square": (
        "The whole image was resized to fit {side} × {side} and padded with the colour of its border.",
        "整幅图像缩放到 {side} × {side} 以内，其余部分用边缘的颜色填充。",
    ),
    "inverted": (
        "The strokes are darker than the background, so the image was inverted.",
        "笔画比背景深，因此图像作了反色处理。",
    ),
    "where": ("Evidence for “{label}”", "预测为“{label}”的依据"),
    "gradcam": ("Grad-CAM", "Grad-CAM"),
    "gradcam_note": (
        "Where the feature maps of layer {layer} that support the class are active. The resolution "
        "is that of the feature maps.",
        "{layer} 层中支持该类别的特征图在哪里激活；分辨率取决于特征图的大小。",
    ),
    "integrated_gradients": ("Integrated gradients", "积分梯度"),
    "integrated_gradients_note": (
        "The contribution of each pixel to the logit of the class, compared with an empty image: "
        "orange supports the class, blue opposes it.",
        "与空白图像相比，每个像素对该类别 logit 的贡献：橙色支持，蓝色反对。",
    ),
    "occlusion": ("Occlusion", "遮挡"),
    "occlusion_note": (
        "How much the logit falls (orange) or rises (blue) when a square at this position is "
        "covered.",
        "遮住该处的一个方块后，logit 下降（橙色）或上升（蓝色）多少。",
    ),
    "methods_note": (
        "The three methods answer different questions; trust them more where they agree. None of "
        "them shows why the network learned this.",
        "三种方法回答的是不同的问题，结论一致之处更可信。它们都不能说明网络为什么会学成这样。",
    ),
    "filters": ("Weights of the first layer, {name}", "第一层 {name} 的权重"),
    "filters_note": (
        "{count:filter|filters} of {shape}. Blue is negative and orange positive; in colour, grey is 0.",
        "{count} 个 {shape} 的卷积核。蓝色为负，橙色为正；彩色显示时灰色为 0。",
    ),
    "layers": ("Output of every layer", "各层的输出"),
    "layers_note": (
        "From the input to the logits. All maps of a layer share one scale: dark to light from 0, or "
        "blue to orange around 0 if there are negative values.",
        "从输入到 logits。同一层的特征图使用同一刻度：没有负值时从 0 起由暗到亮，有负值时以 0 为中心由蓝到橙。",
    ),
    "first_of": ("first {shown} of {count}", "共 {count} 个，显示前 {shown} 个"),
    "failed": ("This image could not be used: {error}", "无法使用这幅图像：{error}"),
    "top_activations": ("Highest activations of {layer}", "{layer} 的最大激活"),
    "top_activations_note": (
        "For each feature map of {layer}, the {count} of {n:test image|test images} with the highest activation, "
        "cropped to its receptive field of {field} × {field} pixels. The highest is on the left; "
        "feature maps are numbered from 0.",
        "对 {layer} 的每个特征图，列出 {n} 幅测试图像中激活值最大的 {count} 幅，并裁剪到该激活的感受野："
        "{field} × {field} 像素。最左边的激活值最大；特征图从 0 开始编号。",
    ),
    "map": ("feature map {number}", "特征图 {number}"),
    "first_maps": (
        "The first {shown} of {count} feature maps are shown.",
        "共 {count} 个特征图，显示前 {shown} 个。",
    ),
}
