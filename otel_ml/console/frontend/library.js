// What the console's pages use of other people's libraries; `build_library.py` makes one file of it.
import { BarChart, CustomChart, LineChart } from "echarts/charts";
import {
  AriaComponent,
  AxisPointerComponent,
  GridComponent,
  MarkLineComponent,
  TooltipComponent,
  VisualMapContinuousComponent,
} from "echarts/components";
import { connect, init, use } from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";

use([
  AriaComponent,
  AxisPointerComponent,
  BarChart,
  CanvasRenderer,
  CustomChart,
  GridComponent,
  LineChart,
  MarkLineComponent,
  TooltipComponent,
  VisualMapContinuousComponent,
]);

export { connect, init };
export { Idiomorph } from "idiomorph/dist/idiomorph.esm.js";
