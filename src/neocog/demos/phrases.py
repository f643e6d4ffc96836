"""Phrases of the demos' pages and images."""

from neocog.rendering.i18n import Phrases

# {placeholders} are filled in by the page's script, and in images by `translator`, with their nouns.
CONVOLUTION: Phrases = {
    "title": ("Convolution, number by number", "逐个数字看卷积"),
    "lead": (
        "A filter is placed on the input. Every number in its window is multiplied by a weight; the "
        "sum of all products and the bias is one number of the output. Then the filter moves on by "
        "the stride.",
        "把卷积核放在输入上，窗口中的每个数乘以对应的权重，所有乘积之和再加上偏置，就得到输出中的一个数；"
        "然后卷积核按步幅移动到下一个位置。",
    ),
    "lead_layer": (
        "Layer {layer} of {run} with its trained filters, applied to {image}.",
        "{run} 的 {layer} 层：训练好的卷积核作用于图像 {image}。",
    ),
    "heading": (
        "Convolution: input {input}, {filters:filter|filters} of {kernel}, stride {stride}, padding "
        "{padding}, dilation {dilation}",
        "卷积：输入 {input}，{filters} 个 {kernel} 卷积核，步幅 {stride}，填充 {padding}，"
        "空洞率 {dilation}",
    ),
    "heading_layer": (
        "{layer} of {run} on {image}: {filters:filter|filters} of {kernel}",
        "{run} 的 {layer} 层，图像 {image}：{filters} 个 {kernel} 卷积核",
    ),
    "first": ("First", "第一步"),
    "back": ("Back", "上一步"),
    "play": ("Play", "播放"),
    "pause": ("Pause", "暂停"),
    "next": ("Next", "下一步"),
    "last": ("Last", "最后一步"),
    "speed": ("Speed", "速度"),
    "slow": ("slow", "慢"),
    "normal": ("normal", "正常"),
    "fast": ("fast", "快"),
    "keys": (
        "Keys: ← → to step, space to play. Click a number of the output to jump to it.",
        "键盘：← → 单步，空格键播放；点击输出中的数字可跳到对应的一步。",
    ),
    "step": ("Step {step} of {steps}", "第 {step} 步，共 {steps} 步"),
    "place": (
        "filter {filter}, row {row}, column {column}",
        "卷积核 {filter}，第 {row} 行，第 {column} 列",
    ),
    "input": ("Input", "输入"),
    "filters": ("Filters", "卷积核"),
    "filter_of": ("Filter {filter}", "卷积核 {filter}"),
    "output": ("Output", "输出"),
    "channel": ("channel {channel}", "通道 {channel}"),
    "bias": ("bias", "偏置"),
    "sum": ("The sum", "求和"),
    "window": ("window", "窗口"),
    "weights": ("weights", "权重"),
    "products": ("products", "乘积"),
    "more": ("{count:more channel|more channels}", "其余 {count} 个通道"),
    "padded": ("{size} with zero padding", "填充后 {size}"),
    "size": ("Input size W", "输入大小 W"),
    "channels": ("Channels", "通道数"),
    "filter_count": ("Filters", "卷积核数"),
    "kernel": ("Kernel F", "卷积核大小 F"),
    "stride": ("Stride S", "步幅 S"),
    "padding": ("Padding P", "填充 P"),
    "dilation": ("Dilation D", "空洞率 D"),
    "new_numbers": ("New numbers", "换一组数"),
    "reset": ("Reset", "重置"),
    "rounded_down": ("rounded down to {value}", "向下取整为 {value}"),
    "span": (
        "the kernel spans F′ = D(F − 1) + 1 = {span}",
        "卷积核的跨度 F′ = D(F − 1) + 1 = {span}",
    ),
    "unseen": (
        "The stride does not divide evenly: no window covers the last {count:row|rows} and "
        "{count:column|columns} of the padded input.",
        "步幅不能整除：没有窗口覆盖填充后输入的最后 {count} 行和 {count} 列。",
    ),
    "too_wide": (
        "The kernel does not fit: it spans {span} cells, and the padded input has only "
        "W + 2P = {room}.",
        "放不下：卷积核的跨度为 {span}，而填充后的输入只有 W + 2P = {room}。",
    ),
    "would_fit": (
        "Use a kernel of at most {kernel}, a padding of at least {padding}, or an input of at least "
        "{size}. Below is still the last valid example.",
        "可以让卷积核不超过 {kernel}，或填充至少为 {padding}，或输入至少为 {size}。"
        "下面显示的仍是上一个有效的例子。",
    ),
    "out_of_range": (
        "{name} must be an integer from {least} to {most}. Below is still the last valid example.",
        "{name} 须为 {least} 到 {most} 的整数。下面显示的仍是上一个有效的例子。",
    ),
    "parameters": (
        "{filters:filter|filters} of {kernel} and a bias each: {count:parameter|parameters}.",
        "{filters} 个 {kernel} 的卷积核，各有一个偏置：共 {count} 个参数。",
    ),
    "patch": (
        "The layer's input is {whole}. Rows {top} to {bottom} and columns {left} to {right} are "
        "shown, around the highest output.",
        "该层的输入为 {whole}；这里只显示最大输出周围的第 {top}–{bottom} 行、"
        "第 {left}–{right} 列。",
    ),
    "filters_shown": (
        "{shown} of its {count} filters are shown, by default those with the highest outputs; choose "
        "others with --filter N.",
        "共 {count} 个卷积核，显示其中 {shown} 个（默认为输出最大的）；用 --filter N 可选择其他的。",
    ),
    "channels_shown": (
        "{shown} of its {count} input channels are shown; the sum over the others is one number.",
        "共 {count} 个输入通道，显示 {shown} 个；其余通道的贡献合为一个数。",
    ),
    "channels_grouped": (
        "{shown} of its {count} input channels are shown; the sum over the others of a filter's "
        "group is one number.",
        "共 {count} 个输入通道，显示 {shown} 个；同组其余通道的贡献合为一个数。",
    ),
    "channels_seen": (
        "{shown} of its {count} input channels are shown: the ones that these filters use.",
        "共 {count} 个输入通道，只显示这些卷积核用到的 {shown} 个。",
    ),
    "uneven": (
        "The padding is uneven, {before} before and {after} after; P in the formula is half of "
        "their sum.",
        "填充不对称：前面 {before}，后面 {after}；公式中的 P 为两者之和的一半。",
    ),
    "excerpt": ("shown: {what}", "显示 {what}"),
    "grouped": (
        "The layer has {groups} groups: a filter uses only the channels of its own group.",
        "该层分为 {groups} 组：每个卷积核只使用本组的通道。",
    ),
    "rounded": (
        "The numbers are rounded; the sums are those of the exact numbers.",
        "显示的数字经过四舍五入，求和使用精确值。",
    ),
    "key": (
        "Orange is positive, blue negative; grey cells are zero padding.",
        "橙色为正，蓝色为负；灰色格是填充的零。",
    ),
}
