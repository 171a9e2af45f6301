// All words of the page, one table a language, and the formats of its numbers.

const EN = {
  skip: "Skip to the input",
  tagline: "Model serving console",
  nav: "Page",
  docs: "API",
  "health.loading": "Loading",
  "health.healthy": "Healthy",
  "health.degraded": "Degraded",
  "health.unreachable": "Not reachable",
  "models.title": "Models",
  "models.loading": "Asking which models are served",
  "models.none": "No model is served yet.",
  "models.unreachable": "The gateway does not answer. Trying again.",
  "state.ready": "ready",
  "state.UNAVAILABLE": "unavailable",
  "state.LOADING": "loading",
  "state.other": "not ready",
  "task.text-classification": "Text to label",
  "task.image-classification": "Picture to label",
  "task.text-embedding": "Text to vector",
  "task.tabular": "Numbers to value",
  "task.tensor": "Tensors",
  "version.label": "Version",
  "version.default": "Default",
  "version.n": "v{version}",
  "request.title": "Input",
  "text.label": "Text",
  "text.placeholder": "Type or paste a text",
  "text.several": "One text a line",
  "text.count": "{characters} characters",
  "text.counts": "{texts} texts, {characters} characters",
  "text.none": "Type a text first.",
  "text.many": "One request takes 100 texts, these are {texts}. POST /predict/batch takes more.",
  "image.canvas": "Picture to be sent: a drawing, or the picture you chose",
  "image.hint": "Draw here with the mouse or a finger. Or drop or paste a picture.",
  "image.choose": "Choose a picture",
  "image.clear": "Clear",
  "image.drawing": "Your drawing",
  "image.pasted": "pasted.png",
  "image.nopreview": "This browser cannot show {name}.",
  "image.none": "Draw something or choose a picture first.",
  "numbers.label": "Numbers",
  "numbers.placeholder": "Numbers, separated by commas, spaces or lines",
  "numbers.count": "{count} numbers",
  "numbers.counts": "{count} of {expected} numbers",
  "numbers.none": "Enter the numbers first.",
  "numbers.bad": "Number {index} is “{value}”, which is not a finite number.",
  "numbers.expected": "This model takes {expected} numbers, these are {count}.",
  "tensor.label": "Open Inference Protocol request, JSON",
  "tensor.bad": "This is not valid JSON: {reason}",
  "examples": "Examples",
  "example.good": "Praise",
  "example.bad": "Complaint",
  "example.lines": "Three lines",
  "example.digit": "A seven",
  "example.row": "Ten numbers",
  "example.template": "Zeros of the right shape",
  run: "Run",
  running: "Running",
  "answer.title": "Answer",
  "answer.empty": "Run the model and its answer appears here.",
  "answer.confidence": "{confidence} confident",
  "answer.probabilities": "Probabilities",
  "answer.all": "Show all {count}",
  "answer.value": "Value",
  "answer.values": "{count} values",
  "answer.dimensions": "{count} numbers",
  "answer.first": "The first {count}",
  "answer.barcode": "All numbers of the vector as bars",
  "answer.texts": "{count} texts",
  "answer.failed": "{failed} of {count} failed",
  "answer.shape": "{datatype}, shape {shape}",
  "answer.more": "and {count} more",
  "answer.raw": "The answer as JSON",
  "timing.title": "Where the time went",
  "timing.empty": "The stages of the last request, one after the other.",
  "timing.cached": "No stage ran: the answer was known.",
  "timing.total": "Total in the platform",
  "timing.roundtrip": "Seen by this browser",
  "timing.strip": "Times of the stages: {parts}",
  "stage.preprocess": "Preprocess",
  "stage.inference": "Inference",
  "stage.queue": "of it in the queue",
  "stage.postprocess": "Postprocess",
  "stage.gateway": "Gateway",
  "fact.cache": "Cache",
  "fact.version": "Version",
  "fact.request": "Request id",
  "fact.status": "Status",
  "cache.hit": "hit",
  "cache.miss": "miss",
  "cache.coalesced": "coalesced",
  "cache.off": "off",
  "curl.title": "The same with curl",
  "curl.long": "The body is too long for a command line: save it as {name} first.",
  "curl.folder": "Run it in the folder that holds {name}.",
  "curl.none": "Give an input and the command appears here.",
  copy: "Copy",
  copied: "Copied",
  "copy.failed": "Copying is not allowed here",
  "copy.request": "Copy the request id",
  "live.title": "Live",
  "live.pause": "Pause",
  "live.resume": "Resume",
  "live.paused": "Paused.",
  "live.unreachable": "The metrics cannot be read at the moment.",
  "live.span": "The last two minutes of predictions, from all callers.",
  "chart.rate": "Requests a second",
  "chart.latency": "Latency",
  "chart.items": "Items a message",
  "chart.none": "no requests",
  "chart.label": "{name}: {values}",
  "error.invalid_argument": "The request is not right",
  "error.undecodable_image": "This is not a picture the model can read",
  "error.image_too_large": "The picture is too large",
  "error.blank_text": "The text is blank",
  "error.text_too_long": "The text is too long",
  "error.wrong_shape": "The input has the wrong shape",
  "error.non_finite_number": "A number is not finite",
  "error.payload_too_large": "The body is too large",
  "error.unsupported_media_type": "The model does not take this kind of input",
  "error.model_not_found": "There is no such model",
  "error.model_not_ready": "The model is not ready",
  "error.overloaded": "Too much work at the moment",
  "error.rate_limited": "Too many requests",
  "error.backend_unavailable": "A stage does not answer",
  "error.deadline_exceeded": "It took too long",
  "error.unauthenticated": "A key is needed",
  "error.forbidden": "This key may not do that",
  "error.network": "The gateway does not answer",
  "error.other": "The request failed",
};

const ZH = {
  skip: "跳到输入区",
  tagline: "模型服务控制台",
  nav: "页面",
  docs: "接口文档",
  "health.loading": "加载中",
  "health.healthy": "运行正常",
  "health.degraded": "部分异常",
  "health.unreachable": "无法连接",
  "models.title": "模型",
  "models.loading": "正在查询可用模型",
  "models.none": "目前没有可用的模型。",
  "models.unreachable": "网关没有响应，正在重试。",
  "state.ready": "就绪",
  "state.UNAVAILABLE": "不可用",
  "state.LOADING": "加载中",
  "state.other": "未就绪",
  "task.text-classification": "文本分类",
  "task.image-classification": "图片分类",
  "task.text-embedding": "文本向量",
  "task.tabular": "数值预测",
  "task.tensor": "张量",
  "version.label": "版本",
  "version.default": "默认",
  "version.n": "v{version}",
  "request.title": "输入",
  "text.label": "文本",
  "text.placeholder": "输入或粘贴文本",
  "text.several": "每行一条文本",
  "text.count": "{characters} 个字符",
  "text.counts": "{texts} 条文本，{characters} 个字符",
  "text.none": "请先输入文本。",
  "text.many": "一次请求最多 100 条文本，现在有 {texts} 条。更多请用 POST /predict/batch。",
  "image.canvas": "将要发送的图片：手绘或所选图片",
  "image.hint": "用鼠标或手指在这里书写，也可以拖入或粘贴图片。",
  "image.choose": "选择图片",
  "image.clear": "清除",
  "image.drawing": "手绘图片",
  "image.pasted": "pasted.png",
  "image.nopreview": "浏览器无法预览 {name}。",
  "image.none": "请先书写或选择一张图片。",
  "numbers.label": "数值",
  "numbers.placeholder": "用逗号、空格或换行分隔",
  "numbers.count": "{count} 个数",
  "numbers.counts": "{count} / {expected} 个数",
  "numbers.none": "请先输入数值。",
  "numbers.bad": "第 {index} 项“{value}”不是有限的数。",
  "numbers.expected": "此模型需要 {expected} 个数，现在有 {count} 个。",
  "tensor.label": "Open Inference Protocol 请求（JSON）",
  "tensor.bad": "不是有效的 JSON：{reason}",
  "examples": "示例",
  "example.good": "好评",
  "example.bad": "差评",
  "example.lines": "三行文本",
  "example.digit": "数字 7",
  "example.row": "十个数",
  "example.template": "相应形状的零",
  run: "运行",
  running: "运行中",
  "answer.title": "结果",
  "answer.empty": "运行模型后，结果显示在这里。",
  "answer.confidence": "置信度 {confidence}",
  "answer.probabilities": "各类概率",
  "answer.all": "显示全部 {count} 项",
  "answer.value": "预测值",
  "answer.values": "{count} 个值",
  "answer.dimensions": "{count} 个数",
  "answer.first": "前 {count} 个",
  "answer.barcode": "向量的全部数值（条形）",
  "answer.texts": "{count} 条文本",
  "answer.failed": "{count} 条中有 {failed} 条失败",
  "answer.shape": "{datatype}，形状 {shape}",
  "answer.more": "还有 {count} 个",
  "answer.raw": "JSON 原文",
  "timing.title": "耗时分布",
  "timing.empty": "这里显示上一次请求各阶段的耗时。",
  "timing.cached": "没有运行任何阶段：结果已在缓存中。",
  "timing.total": "平台内总计",
  "timing.roundtrip": "浏览器所见",
  "timing.strip": "各阶段耗时：{parts}",
  "stage.preprocess": "预处理",
  "stage.inference": "推理",
  "stage.queue": "其中排队",
  "stage.postprocess": "后处理",
  "stage.gateway": "网关",
  "fact.cache": "缓存",
  "fact.version": "版本",
  "fact.request": "请求 ID",
  "fact.status": "状态码",
  "cache.hit": "命中",
  "cache.miss": "未命中",
  "cache.coalesced": "合并",
  "cache.off": "关闭",
  "curl.title": "等价的 curl 命令",
  "curl.long": "内容太长，无法放进命令行：请先另存为 {name}。",
  "curl.folder": "请在 {name} 所在的目录中运行。",
  "curl.none": "输入内容后，命令显示在这里。",
  copy: "复制",
  copied: "已复制",
  "copy.failed": "此处不允许复制",
  "copy.request": "复制请求 ID",
  "live.title": "实时",
  "live.pause": "暂停",
  "live.resume": "继续",
  "live.paused": "已暂停。",
  "live.unreachable": "暂时读不到指标。",
  "live.span": "最近两分钟内所有调用方的预测请求。",
  "chart.rate": "每秒请求数",
  "chart.latency": "延迟",
  "chart.items": "每条消息的条目数",
  "chart.none": "无请求",
  "chart.label": "{name}：{values}",
  "error.invalid_argument": "请求有误",
  "error.undecodable_image": "无法识别为图片",
  "error.image_too_large": "图片太大",
  "error.blank_text": "文本为空白",
  "error.text_too_long": "文本太长",
  "error.wrong_shape": "输入的形状不符",
  "error.non_finite_number": "含有非有限的数",
  "error.payload_too_large": "内容太大",
  "error.unsupported_media_type": "此模型不接受这种输入",
  "error.model_not_found": "没有这个模型",
  "error.model_not_ready": "模型尚未就绪",
  "error.overloaded": "当前负载过高",
  "error.rate_limited": "请求过于频繁",
  "error.backend_unavailable": "后端服务没有响应",
  "error.deadline_exceeded": "处理超时",
  "error.unauthenticated": "需要密钥",
  "error.forbidden": "此密钥没有权限",
  "error.network": "网关没有响应",
  "error.other": "请求失败",
};

export const TABLES = { en: EN, zh: ZH };
const KEY = "trireme.language";

let language = remembered() ?? (navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en");

function remembered() {
  try {
    const found = localStorage.getItem(KEY);
    return found in TABLES ? found : null;
  } catch {
    return null; // storage may be forbidden
  }
}

export const current = () => language;

/** The words of `key`, with `{name}` replaced. */
export function t(key, values = {}) {
  const words = TABLES[language][key] ?? EN[key] ?? key;
  return words.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

/** Whether the tables know `key`. */
export const has = (key) => key in EN;

/** Puts the page's fixed words into the language, and its `lang`. */
export function translatePage() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const element of document.querySelectorAll("[data-i18n]")) {
    element.textContent = t(element.dataset.i18n);
  }
  for (const element of document.querySelectorAll("[data-i18n-attr]")) {
    const [name, key] = element.dataset.i18nAttr.split(":");
    element.setAttribute(name, t(key));
  }
}

export function setLanguage(chosen) {
  language = chosen;
  try {
    localStorage.setItem(KEY, chosen);
  } catch {
    // then the choice lasts as long as the page
  }
}

/** A fixed element's words that change with the state: they stay right after a change of language. */
export function setWords(element, key) {
  element.dataset.i18n = key;
  element.textContent = t(key);
}

export const number = (value, digits = 4) =>
  new Intl.NumberFormat(language, { maximumSignificantDigits: digits }).format(value);

/** Share of 1 as percent, which never says 0 or 100 where it is not. */
export function percent(share) {
  const digits = share === 0 || share === 1 ? 0 : 1;
  const format = (value) =>
    new Intl.NumberFormat(language, { style: "percent", minimumFractionDigits: digits, maximumFractionDigits: 1 }).format(value);
  if (share > 0 && share < 0.0005) return `< ${format(0.001)}`;
  if (share < 1 && share >= 0.9995) return `> ${format(0.999)}`;
  return format(share);
}

export function milliseconds(value) {
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  const format = new Intl.NumberFormat(language, { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return `${format.format(value)} ms`;
}
