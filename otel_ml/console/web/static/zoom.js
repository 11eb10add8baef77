// Dragging over a chart chooses the time range of the page.
const LEAST = 8;

function go(from, to) {
  const address = new URL(location.href);
  address.searchParams.delete("range");
  address.searchParams.set("from", new Date(from).toISOString());
  address.searchParams.set("to", new Date(to).toISOString());
  location.assign(address);
}

export function zoomOnDrag(chart) {
  const plot = chart.getDom();
  const area = document.createElement("div");
  area.className = "chosen";
  area.hidden = true;
  plot.append(area);
  let start = null;
  const ends = (at) => [Math.min(start, at), Math.max(start, at)];
  chart.getZr().on("mousedown", ({ offsetX, offsetY }) => {
    start = chart.containPixel("grid", [offsetX, offsetY]) ? offsetX : null;
  });
  chart.getZr().on("mousemove", ({ offsetX }) => {
    if (start === null) return;
    const [left, right] = ends(offsetX);
    area.hidden = right - left < LEAST;
    area.style.left = `${left}px`;
    area.style.width = `${right - left}px`;
  });
  chart.getZr().on("mouseup", ({ offsetX }) => {
    if (start !== null && Math.abs(offsetX - start) >= LEAST) {
      go(...ends(offsetX).map((x) => chart.convertFromPixel({ xAxisIndex: 0 }, x)));
    }
    start = null;
    area.hidden = true;
  });
}
