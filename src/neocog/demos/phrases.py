"""What the demos' pages and images say."""

from neocog.report.words import Phrases

# {names} are filled in by the page's own script, and in images by `translator`; so are the nouns.
CONVOLUTION: Phrases = {
    "title": ("Convolution, number by number", "逐个数字看卷积"),
    "lead": (
        "A filter is laid over the input, every number under it is multiplied by its weight, and "
        "all products and the bias are added up: one number of the output. Then the filter moves "
        "on by the stride.",
        "把滤波器放在输入上，窗口里的每个数乘以对应的权重，所有乘积加上偏置，就得到输出中的一个数；"
        "然后滤波器按步幅移动到下一个位置。",
    ),
    "lead_layer": (
        "Layer {layer} of {run}, with its trained filters, and {image} as the network gets it.",
        "{run} 的 {layer} 层：训练好的滤波器，以及网络实际得到的图片 {image}。",
    ),
    "heading": (
        "Convolution: input {input}, {filters:filter|filters} of {kernel}, stride {stride}, padding "
        "{padding}, dilation {dilation}",
        "卷积：输入 {input}，{filters} 个 {kernel} 滤波器，步幅 {stride}，填充 {padding}，"
        "膨胀 {dilation}",
    ),
    "heading_layer": (
        "{layer} of {run} on {image}: {filters:filter|filters} of {kernel}",
        "{run} 的 {layer} 层，图片 {image}：{filters} 个 {kernel} 滤波器",
    ),
    "first": ("First", "首步"),
    "back": ("Back", "上一步"),
    "play": ("Play", "播放"),
    "pause": ("Pause", "暂停"),
    "next": ("Next", "下一步"),
    "last": ("Last", "末步"),
    "speed": ("Speed", "速度"),
    "slow": ("slow", "慢"),
    "normal": ("normal", "正常"),
    "fast": ("fast", "快"),
    "keys": (
        "Keys: ← → step, space plays. Click a number of the output to go there.",
        "键盘：← → 单步，空格播放；点击输出中的数字可直接跳到那一步。",
    ),
    "step": ("Step {step} of {steps}", "第 {step} 步，共 {steps} 步"),
    "place": (
        "filter {filter}, row {row}, column {column}",
        "滤波器 {filter}，第 {row} 行，第 {column} 列",
    ),
    "input": ("Input", "输入"),
    "filters": ("Filters", "滤波器"),
    "filter_of": ("Filter {filter}", "滤波器 {filter}"),
    "output": ("Output", "输出"),
    "channel": ("channel {channel}", "通道 {channel}"),
    "bias": ("bias", "偏置"),
    "sum": ("The sum", "求和"),
    "window": ("window", "窗口"),
    "weights": ("weights", "权重"),
    "products": ("products", "乘积"),
    "more": ("{count:more channel|more channels}", "其余 {count} 个通道"),
    "padded": ("{size} with its border of zeros", "补零后 {size}"),
    "size": ("Input size W", "输入大小 W"),
    "channels": ("Channels", "通道数"),
    "filter_count": ("Filters", "滤波器数"),
    "kernel": ("Kernel F", "核大小 F"),
    "stride": ("Stride S", "步幅 S"),
    "padding": ("Padding P", "填充 P"),
    "dilation": ("Dilation D", "膨胀 D"),
    "new_numbers": ("New numbers", "换一组数"),
    "reset": ("As at first", "恢复初始"),
    "rounded_down": ("rounded down {value}", "向下取整为 {value}"),
    "span": ("the kernel spans F′ = D(F − 1) + 1 = {span}", "核的跨度 F′ = D(F − 1) + 1 = {span}"),
    "unseen": (
        "The stride does not divide evenly: the last {count:row|rows} and {count:column|columns} of the "
        "padded input are never seen.",
        "步幅不能整除：补零后输入的最后 {count} 行和 {count} 列从未被看到。",
    ),
    "too_wide": (
        "This cannot be: the kernel spans {span} cells, and the padded input has only "
        "W + 2P = {room}.",
        "不可能：核的跨度为 {span}，而补零后的输入只有 W + 2P = {room}。",
    ),
    "would_fit": (
        "What fits: a kernel of at most {kernel}, a padding of at least {padding}, or an input of "
        "at least {size}. The last example that was possible is still shown.",
        "可行的改法：核不超过 {kernel}，或填充至少为 {padding}，或输入至少为 {size}。"
        "下面仍是上一个可行的例子。",
    ),
    "out_of_range": (
        "{name} must be a whole number from {least} to {most}. The last example that was possible "
        "is still shown.",
        "{name} 须为 {least} 到 {most} 的整数。下面仍是上一个可行的例子。",
    ),
    "parameters": (
        "{filters:filter|filters} of {kernel} and a bias each: {count:parameter|parameters}.",
        "{filters} 个 {kernel} 的滤波器，各带一个偏置：共 {count} 个参数。",
    ),
    "patch": (
        "The layer's input is {whole}; shown are rows {top} to {bottom} and columns {left} to "
        "{right}, around the strongest answer.",
        "该层的输入为 {whole}；这里只显示最强响应周围的第 {top}–{bottom} 行、"
        "第 {left}–{right} 列。",
    ),
    "filters_shown": (
        "{shown} of its {count} filters are shown, by default those that answer most strongly; "
        "others with --filter N.",
        "共 {count} 个滤波器，显示其中 {shown} 个（默认为响应最强的）；用 --filter N 可选择其他的。",
    ),
    "channels_shown": (
        "Of its {count} channels {shown} are shown; what the others add is given as one number.",
        "共 {count} 个输入通道，显示 {shown} 个；其余通道的贡献合为一个数。",
    ),
    "channels_grouped": (
        "Of its {count} channels {shown} are shown; what the others of a filter's group add is "
        "given as one number.",
        "共 {count} 个输入通道，显示 {shown} 个；同组其余通道的贡献合为一个数。",
    ),
    "channels_seen": (
        "Of its {count} channels the {shown} are shown that these filters see; the others add "
        "nothing to them.",
        "共 {count} 个输入通道，只显示这些滤波器看到的 {shown} 个；其余通道对它们没有贡献。",
    ),
    "uneven": (
        "The border of zeros is uneven, {before} before and {after} after; the padding P in the "
        "formula is half of their sum.",
        "补零不对称：前面 {before}，后面 {after}；公式中的填充 P 为两者之和的一半。",
    ),
    "excerpt": ("shown: {what}", "显示 {what}"),
    "grouped": (
        "The layer has {groups} groups: a filter sees only the channels of its own.",
        "该层分为 {groups} 组：每个滤波器只看到本组的通道。",
    ),
    "rounded": (
        "Numbers are shown rounded; the sums are of the exact ones.",
        "显示的数字经过四舍五入，求和用的是精确值。",
    ),
    "key": (
        "Orange is positive, blue negative; grey cells are the border of zeros.",
        "橙色为正，蓝色为负；灰色格是补的零。",
    ),
}
