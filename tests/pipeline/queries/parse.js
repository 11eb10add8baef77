// Reads {"logql": [...], "traceql": [...]} and writes, for each query that does not parse, where it goes wrong.
import { readFileSync } from "node:fs";
import { parser as logql } from "@grafana/lezer-logql";
import { parser as traceql } from "@grafana/lezer-traceql";

const errors = [];
const queries = JSON.parse(readFileSync(0, "utf8"));
for (const [language, parser] of Object.entries({ logql, traceql })) {
  for (const query of queries[language]) {
    parser.parse(query).iterate({
      enter: (node) => {
        if (node.type.isError) errors.push({ language, query, at: node.from });
      },
    });
  }
}
console.log(JSON.stringify(errors));
