// The form of a dashboard file, from the types that Grafana publishes of itself.
import type * as schema from "@grafana/schema";
import type * as barchart from "@grafana/schema/dist/esm/raw/composable/barchart/panelcfg/x/BarChartPanelCfg_types.gen";
import type * as heatmap from "@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen";
import type * as logs from "@grafana/schema/dist/esm/raw/composable/logs/panelcfg/x/LogsPanelCfg_types.gen";
import type * as stat from "@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen";
import type * as table from "@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen";
import type * as timeseries from "@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";

/** What JSON has of a type: the values of enums as they are, and without what has a default. */
type Json<T> = unknown extends T
  ? T
  : T extends string
    ? `${T}`
    : T extends object
      ? { [K in keyof T]?: Json<T[K]> }
      : T;

/** Of the data sources, whose types are not part of the package. */
type Target = { refId: string; datasource?: schema.DataSourceRef } & Record<string, unknown>;
type Annotation = Omit<Json<schema.AnnotationQuery>, "target"> & {
  target: Target;
  titleFormat: string;
  textFormat: string;
};
type Variable = Json<schema.VariableModel> & { definition?: string };

/** A dashboard without its panels. */
export type Frame = Omit<Json<schema.Dashboard>, "panels" | "annotations" | "templating"> & {
  schemaVersion: number;
  annotations: { list: Annotation[] };
  templating: { list: Variable[] };
};

export type RowPanel = Json<schema.RowPanel>;

interface Link {
  title: string;
  url: string;
  targetBlank: boolean;
}

type PanelOf<Kind extends string, Options, Custom> = Json<
  Omit<schema.Panel, "type" | "options" | "fieldConfig" | "targets" | "links">
> & {
  type: Kind;
  links: Link[];
  targets: Target[];
  options: Json<Options>;
  fieldConfig: {
    defaults: Json<Omit<schema.FieldConfig, "custom">> & { custom?: Json<Custom> };
    overrides: Json<schema.FieldConfigSource["overrides"]>;
  };
};

export type Panel =
  | PanelOf<"timeseries", timeseries.Options, timeseries.FieldConfig>
  | PanelOf<"table", table.Options, table.FieldConfig>
  | PanelOf<"stat", stat.Options, never>
  | PanelOf<"barchart", barchart.Options, barchart.FieldConfig>
  | PanelOf<"heatmap", heatmap.Options, heatmap.FieldConfig>
  | PanelOf<"logs", logs.Options, never>;

/** How a field of a kind of panel is shown: an override sets some of it. */
export type Display<Kind extends Panel["type"]> = Extract<Panel, { type: Kind }>["fieldConfig"]["defaults"];
