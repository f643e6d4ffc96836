"""What the pages of `neocog explain` say."""

from neocog.report.words import Phrases

EXPLAIN: Phrases = {
    "title": ("What the network sees", "网络看到了什么"),
    "by": ("Answers of {run}", "由 {run} 回答"),
    "gets": ("What the network gets", "网络得到的输入"),
    "original": ("the image, {width} × {height}", "原图，{width} × {height}"),
    "prepared": ("the network's input, {width} × {height}", "网络的输入，{width} × {height}"),
    "as_it_is": (
        "The image already has the size and the dark ground of the training images: it is "
        "taken as it is.",
        "图片的大小和深色背景与训练图片一致：原样使用。",
    ),
    "digit": (
        "The ink was found (in the frame), brought to even strokes, fitted into {box} × {box} "
        "pixels and centred by its mass in {side} × {side}, as MNIST's digits were.",
        "找到笔迹（框内），统一笔画粗细，缩放到 {box} × {box} 像素，按质心放在 {side} × {side} 的中央，"
        "与 MNIST 的做法相同。",
    ),
    "crop": (
        "The short side is brought to {resize} pixels and the middle {side} × {side} taken (in the "
        "frame).",
        "短边缩放到 {resize} 像素，取中间的 {side} × {side}（框内）。",
    ),
    "square": (
        "The whole image is shrunk into {side} × {side}; what is left over is filled with the "
        "colour of its border.",
        "整张图片缩小到 {side} × {side}；空余处用边缘的颜色填充。",
    ),
    "inverted": (
        "Its ink is darker than its ground, so dark and light are exchanged.",
        "笔迹比背景深，因此黑白反转。",
    ),
    "answer": ("The answer", "回答"),
    "unsure": (
        "Not sure: below the classifier's threshold of {threshold}.",
        "不确定：低于分类器的阈值 {threshold}。",
    ),
    "where": ("What speaks for “{label}”", "什么支持“{label}”"),
    "gradcam": ("Grad-CAM", "Grad-CAM"),
    "gradcam_says": (
        "Where the maps of layer {layer} that speak for the class are active; as coarse as they are.",
        "{layer} 的特征图中支持该类别的位置；精细程度取决于特征图的大小。",
    ),
    "integrated_gradients": ("Integrated gradients", "积分梯度"),
    "integrated_gradients_says": (
        "What each pixel adds to the class's score on the way from an empty image: orange for it, "
        "blue against it.",
        "从空白图片走到这张图片，每个像素给该类别的得分增加多少：橙色支持，蓝色反对。",
    ),
    "occlusion": ("Occlusion", "遮挡"),
    "occlusion_says": (
        "How far the score falls (orange) or rises (blue) when a square there is covered.",
        "遮住该处的一个方块后，得分下降（橙色）或上升（蓝色）多少。",
    ),
    "careful": (
        "Three methods that ask different questions; where they agree, believe more. None of them "
        "says why the network learned this.",
        "三种方法问的是不同的问题；它们一致之处更可信。没有一种能说明网络为何学成这样。",
    ),
    "filters": ("The first layer's weights, {name}", "第一层的权重，{name}"),
    "filters_say": (
        "{count:filter|filters} of {shape}; blue is negative, orange positive, or in colour with grey as 0.",
        "{count} 个 {shape} 的卷积核；蓝色为负，橙色为正；彩色时灰色为 0。",
    ),
    "layers": ("Every layer's answer", "每一层的输出"),
    "layers_say": (
        "From the input to the logits. Within a layer all maps are on one scale: dark to light from "
        "0 up, or blue to orange around 0 where some are negative.",
        "从输入到 logits。同一层的特征图共用一个刻度：从 0 起由暗到亮；有负数时以 0 为中心由蓝到橙。",
    ),
    "first_of": ("the first {shown} of {count}", "{count} 个中的前 {shown} 个"),
    "failed": ("This image could not be used: {error}", "这张图片无法使用：{error}"),
    "strongest": ("What excites {layer} most", "最能激活 {layer} 的图片"),
    "strongest_says": (
        "For each map of {layer}, the {count} of {n:test image|test images} that it answers most strongly, "
        "cropped to what the strongest place sees: {field} × {field} pixels. The strongest is on "
        "the left; maps are counted from 0.",
        "对 {layer} 的每个特征图，列出 {n} 张测试图片中响应最强的 {count} 张，裁剪到最强位置的感受野："
        "{field} × {field} 像素。最左边的最强；特征图从 0 数起。",
    ),
    "map": ("map {number}", "特征图 {number}"),
    "first_maps": (
        "The first {shown} of {count} maps are shown.",
        "只显示 {count} 个特征图中的前 {shown} 个。",
    ),
}
