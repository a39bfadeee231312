// Of a Vega-Lite chart with one revision, leaves out what tells revisions apart.
const withoutRevision = (node) => {
  if (Array.isArray(node)) {
    return node.filter((item) => item?.field !== "rev").map(withoutRevision);
  }
  if (node === null || typeof node !== "object") {
    return node;
  }
  return Object.fromEntries(
    Object.entries(node)
      .filter(([key, value]) => value?.field !== "rev" || key === "column")
      .map(([key, value]) =>
        value?.field === "rev" ? [key, { ...value, header: { labels: false } }] : [key, withoutRevision(value)],
      ),
  );
};

// Draws a Vega-Lite chart into an element; resolves to its Vega view.
const draw = async (element, spec, rows = spec.data.values) => {
  const { data, ...rest } = spec;
  const several = new Set(rows.map((row) => row.rev)).size > 1;
  const chart = { ...(several ? rest : withoutRevision(rest)), data: { values: rows } };
  const { view } = await vegaEmbed(element, chart, {
    renderer: "svg",
    // Expressions are interpreted: the page's security policy forbids to compile them.
    ast: true,
    actions: { export: true, source: false, compiled: false, editor: false },
    config: {
      background: "transparent",
      font: "system-ui, sans-serif",
      title: { fontSize: 15, anchor: "start", offset: 12 },
      axis: { labelFontSize: 12, titleFontSize: 12 },
      legend: { labelFontSize: 12, titleFontSize: 12, symbolStrokeColor: "gray" },
      header: { labelFontSize: 13 },
    },
  });
  element.querySelector("summary").ariaLabel = "Save the chart";
  return view;
};
