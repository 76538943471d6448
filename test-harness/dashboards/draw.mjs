// Draws one dashboard in a page, panel by panel, from what its queries gave: enough to see whether a
// panel shows what it says. Not Grafana: colours of thresholds, units and legends are near to its own.
//
// The page defines `board` (a dashboard's JSON, each target with its `result`) and loads echarts before.

const CELL = { width: 66, height: 34 };

const scaled = (value, steps, unit) => {
  if (value === 0) return `0 ${unit}`.trim();
  const step = steps.find(([size]) => Math.abs(value) >= size) ?? steps.at(-1);
  const number = value / step[0];
  return `${Number(number.toPrecision(3))} ${step[1]}${unit}`.trim();
};
const METRIC = [[1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""], [1e-3, "m"], [1e-6, "µ"]];
const BINARY = [[2 ** 30, "Gi"], [2 ** 20, "Mi"], [2 ** 10, "Ki"], [1, ""]];
const TIMES = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"], [1e-3, "ms"], [1e-6, "µs"]];
const UNITS = {
  bytes: (value) => scaled(value, BINARY, "B"),
  Bps: (value) => scaled(value, BINARY, "B/s"),
  ops: (value) => scaled(value, METRIC, "/s"),
  percentunit: (value) => `${Number((100 * value).toPrecision(3))} %`,
  s: (value) => scaled(value, TIMES, ""),
  ms: (value) => scaled(value / 1e3, TIMES, ""),
  "µs": (value) => scaled(value / 1e6, TIMES, ""),
};
const write = (value, unit) =>
  Number.isFinite(value) ? (UNITS[unit] ?? ((it) => scaled(it, METRIC, "")))(value) : "no data";

const unitOf = (panel) => panel.fieldConfig?.defaults?.unit ?? "short";
const nameOf = (target, metric) => {
  const format = target.legendFormat ?? "";
  if (format) return format.replace(/\{\{\s*([\w.]+)\s*\}\}/g, (_, label) => metric[label] ?? "");
  const labels = Object.entries(metric).filter(([label]) => label !== "__name__");
  return labels.map(([label, value]) => `${label}=${value}`).join(" ") || "value";
};
const seriesOf = (panel) =>
  panel.targets.flatMap((target) =>
    target.result.map(({ metric, values }) => ({
      name: nameOf(target, metric),
      metric,
      points: values.map(([time, value]) => [1000 * time, Number(value)]),
    })),
  );
const last = (series) => series.points.at(-1)?.[1] ?? NaN;
const colourOf = (panel, value) => {
  const steps = panel.fieldConfig?.defaults?.thresholds?.steps ?? [];
  return steps.filter((step) => step.value === null || value >= step.value).at(-1)?.color ?? "green";
};

const element = (parent, kind, text = "", className = "") => {
  const made = document.createElement(kind);
  made.textContent = text;
  made.className = className;
  parent.append(made);
  return made;
};
const chart = (body, options) => {
  const made = echarts.init(body, "dark", { renderer: "svg" });
  made.setOption({ backgroundColor: "transparent", animation: false, ...options });
};

const KINDS = {
  stat(body, panel) {
    const all = seriesOf(panel);
    if (all.length === 0) element(body, "div", "no data", "value");
    for (const series of all.slice(0, 4)) {
      const mapped = panel.fieldConfig.defaults.mappings?.[0]?.options?.[last(series)];
      const text = mapped?.text ?? write(last(series), unitOf(panel));
      element(body, "div", text, "value").style.color = mapped?.color ?? colourOf(panel, last(series));
      if (all.length > 1) element(body, "div", series.name, "name");
    }
  },
  gauge(body, panel) {
    KINDS.stat(body, panel);
  },
  timeseries(body, panel) {
    const unit = unitOf(panel);
    const stacked = panel.fieldConfig.defaults.custom?.stacking?.mode === "normal";
    const log = panel.fieldConfig.defaults.custom?.scaleDistribution?.type === "log";
    const all = seriesOf(panel);
    if (all.length === 0) element(body, "div", "no data", "value");
    chart(body, {
      legend: { type: "scroll", bottom: 0, textStyle: { fontSize: 10 } },
      grid: { left: 62, right: 10, top: 10, bottom: 40 },
      xAxis: { type: "time", axisLabel: { fontSize: 9, hideOverlap: true } },
      yAxis: {
        type: log ? "log" : "value",
        axisLabel: { fontSize: 9, formatter: (value) => write(value, unit) },
        splitLine: { lineStyle: { color: "#333" } },
      },
      series: all.map(({ name, points }) => ({
        name, type: "line", showSymbol: false, lineStyle: { width: 1 }, data: points,
        stack: stacked ? "all" : undefined, areaStyle: stacked ? { opacity: 0.3 } : undefined,
      })),
    });
  },
  heatmap(body, panel) {
    const buckets = seriesOf(panel).sort((a, b) => Number(a.metric.le.replace("+Inf", "Infinity")) - Number(b.metric.le.replace("+Inf", "Infinity")));
    const times = (buckets[0]?.points ?? []).map(([time]) => new Date(time).toISOString().slice(14, 19));
    const cells = buckets.flatMap(({ points }, row) =>
      points.map(([, value], column) => [column, row, Math.max(0, value - (row ? buckets[row - 1].points[column]?.[1] ?? 0 : 0))]),
    );
    chart(body, {
      grid: { left: 62, right: 10, top: 10, bottom: 24 },
      xAxis: { type: "category", data: times, axisLabel: { fontSize: 9 } },
      yAxis: { type: "category", data: buckets.map(({ metric }) => write(Number(metric.le.replace("+Inf", "Infinity")), "µs")), axisLabel: { fontSize: 9 } },
      visualMap: { show: false, min: 0, max: Math.max(...cells.map(([, , value]) => value), 1e-9), inRange: { color: ["#111", "#ff7f0e", "#fff2cc"] } },
      series: [{ type: "heatmap", data: cells }],
    });
  },
  bargauge(body, panel) {
    const all = seriesOf(panel).sort((a, b) => last(a) - last(b)).slice(-15);
    chart(body, {
      grid: { left: 160, right: 50, top: 4, bottom: 20 },
      xAxis: { type: "value", axisLabel: { fontSize: 9, formatter: (value) => write(value, unitOf(panel)) } },
      yAxis: { type: "category", data: all.map(({ name }) => name), axisLabel: { fontSize: 9, width: 150, overflow: "truncate" } },
      series: [{ type: "bar", data: all.map(last), label: { show: true, position: "right", fontSize: 9, formatter: ({ value }) => write(value, unitOf(panel)) } }],
    });
  },
  table(body, panel) {
    const all = seriesOf(panel).sort((a, b) => last(b) - last(a)).slice(0, 20);
    const labels = [...new Set(all.flatMap(({ metric }) => Object.keys(metric)))].filter((it) => it !== "__name__");
    const table = element(body, "table");
    const head = element(table, "tr");
    for (const label of [...labels, "Value"]) element(head, "th", label);
    for (const series of all) {
      const row = element(table, "tr");
      for (const label of labels) element(row, "td", series.metric[label] ?? "");
      element(row, "td", write(last(series), unitOf(panel)), "number");
    }
    if (all.length === 0) element(body, "div", "no data", "value");
  },
  logs(body, panel) {
    const lines = panel.targets.flatMap(({ result }) => result.flatMap(({ values }) => values));
    lines.sort(([a], [b]) => (BigInt(a) < BigInt(b) ? 1 : -1));
    for (const [, line] of lines.slice(0, 25)) element(body, "div", line, "line");
    if (lines.length === 0) element(body, "div", "no data", "value");
  },
};

let bottom = 0;
for (const panel of board.panels) {
  const { x, y, w, h } = panel.gridPos;
  bottom = Math.max(bottom, y + h);
  const frame = element(document.body, "section", "", panel.type);
  Object.assign(frame.style, {
    left: `${x * CELL.width}px`, top: `${40 + y * CELL.height}px`,
    width: `${w * CELL.width - 6}px`, height: `${h * CELL.height - 6}px`,
  });
  element(frame, "h2", panel.title);
  if (panel.type === "row") continue;
  const body = element(frame, "div", "", "body");
  body.style.height = `${h * CELL.height - 34}px`;
  KINDS[panel.type](body, panel);
}
document.body.style.height = `${60 + bottom * CELL.height}px`;
