#!/usr/bin/env python3
"""Writes dashboards/*.json from source/*.toml: what Grafana reads, from what people read.

    ./dashboards.py          writes the files
    ./dashboards.py --check  says which differ, and writes nothing

A source file is one dashboard: rows of panels, each with its queries and three sentences (what it
shows, what is normal, what to do). All that Grafana wants besides stands here, once.
"""

import json
import pathlib
import re
import sys
import tomllib

HERE = pathlib.Path(__file__).parent

# Label matchers, written <name> in queries. `.*` stands for "All" and matches where there is no
# such label at all, so that a panel works without clusters, namespaces or names of servers.
_PLACE = 'cluster=~"$cluster",namespace=~"$namespace",postgresql=~"$server"'
MATCHERS = {
    # Of an exporter, or of a record about one; templates and the entry of shared objects are no databases
    # of users.
    "exporter": f'{_PLACE},instance=~"$instance"',
    "databases": f'{_PLACE},instance=~"$instance",datname=~"$database",datname!~"template[01]|"',
    # Of the metrics filter; `sessions` and `streams` where `instance` is that of an exporter.
    "mesh": f'{_PLACE},instance=~"$instance",database=~"$database",user=~"$user"',
    "sessions": f'{_PLACE},database=~"$database",user=~"$user"',
    "streams": _PLACE,
    # Of an Envoy, or of the policy filter.
    "envoy": f'{_PLACE},instance=~"$instance"',
    # Streams of Loki.
    "log": '${log_stream:raw},cluster=~"$cluster",namespace=~"$namespace"',
    "envoy_log": '${envoy_stream:raw},cluster=~"$cluster",namespace=~"$namespace"',
}

# The labels that tell one server from another; an exporter may ask several.
MATCHERS["server"] = "cluster, namespace, postgresql, instance, server"
# From the prefix of Envoy's log to the record of a module.
MATCHERS["record"] = '| regexp `(?P<record>\\{.*\\})` | line_format `{{.record}}` | json'

# Variables: how a value is asked for. `{metric}` is the dashboard's own.
VARIABLES = {
    "cluster": ("Cluster", "label_values({metric}, cluster)"),
    "namespace": ("Namespace", 'label_values({metric}{{cluster=~"$cluster"}}, namespace)'),
    # The name that a server's exporter and its Envoys share: what leads from one to the other.
    "server": ("Server", 'label_values({metric}{{cluster=~"$cluster",namespace=~"$namespace"}}, postgresql)'),
    "instance": ("Instance", "label_values({metric}{{" + _PLACE + "}}, instance)"),
    "database": ("Database", "label_values({databases})"),
    "user": ("User", "label_values({users})"),
}
TEXTS = {
    "log_stream": ("PostgreSQL's log", 'job="postgres"'),
    "envoy_stream": ("Envoy's log", 'job="envoy"'),
    "search": ("Search", ""),
    "fingerprint": ("Fingerprint", ".*"),
    "trace": ("Trace id", ".*"),
}

SIZES = {
    "stat": (4, 4), "gauge": (4, 4), "timeseries": (8, 8), "heatmap": (12, 9),
    "table": (12, 9), "bargauge": (8, 8), "logs": (24, 12),
}
COLUMNS = 24


def data_source(kind):
    return {"type": kind, "uid": "${loki}" if kind == "loki" else "${datasource}"}


def expand(text):
    """Matchers for their names; one line for several."""
    text = re.sub(r"<(\w+)>", lambda name: MATCHERS.get(name[1], name[0]), text)
    return " ".join(text.split())


def description(entry, of):
    parts = [entry[part].strip() for part in ("shows", "normal", "do")]
    if not all(parts):
        raise SystemExit(f"{of}: a sentence is missing")
    shows, normal, do = parts
    return f"{shows}\n\n**Normal:** {normal}\n\n**Do:** {do}"


def targets(panel, kind, source):
    queries = panel.get("queries") or [{"expr": panel["expr"], "legend": panel.get("legend", "")}]
    for place, query in enumerate(queries):
        target = {
            "refId": chr(ord("A") + place),
            "datasource": data_source(source),
            "expr": expand(query["expr"]),
        }
        if source == "loki":
            target["queryType"] = "instant" if kind in ("table", "bargauge") else "range"
        else:
            instant = kind in ("table", "bargauge")
            target |= {"instant": instant, "range": not instant, "exemplar": kind == "timeseries"}
            if kind in ("heatmap", "table"):
                target["format"] = kind
        legend = query.get("legend", "{{le}}" if kind == "heatmap" else "")
        if legend and kind not in ("table", "logs"):
            target["legendFormat"] = legend
        yield target


def thresholds(panel):
    steps = panel.get("thresholds", [["green"]])
    return {
        "mode": "absolute",
        "steps": [{"value": None, "color": steps[0][0]}]
        + [{"value": value, "color": color} for color, value in steps[1:]],
    }


def field_config(panel, kind):
    defaults = {"unit": panel.get("unit", "short"), "thresholds": thresholds(panel)}
    for limit in ("min", "max", "decimals"):
        if limit in panel:
            defaults[limit] = panel[limit]
    if "texts" in panel:
        options = {
            value: {"text": text, "color": color, "index": place}
            for place, (value, text, color) in enumerate(panel["texts"])
        }
        defaults["mappings"] = [{"type": "value", "options": options}]
    if kind == "timeseries":
        stacked = panel.get("stack", False)
        defaults["custom"] = {
            "lineWidth": 1,
            "fillOpacity": 25 if stacked else 8,
            "showPoints": "never",
            "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        }
        if panel.get("log"):
            defaults["custom"]["scaleDistribution"] = {"type": "log", "log": 10}
        if "thresholds" in panel:
            defaults["custom"]["thresholdsStyle"] = {"mode": "dashed"}
    return {"defaults": defaults, "overrides": []}


_LAST = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}
_LEGEND = {"displayMode": "table", "placement": "bottom", "showLegend": True,
           "calcs": ["lastNotNull", "max"]}
OPTIONS = {
    "stat": _LAST | {
        "colorMode": "value", "graphMode": "area", "textMode": "auto", "justifyMode": "auto",
        "orientation": "auto", "wideLayout": True, "showPercentChange": False,
        "percentChangeColorMode": "standard",
    },
    "gauge": _LAST | {
        "showThresholdLabels": False, "showThresholdMarkers": True, "orientation": "auto",
        "sizing": "auto", "minVizWidth": 75, "minVizHeight": 75,
    },
    "bargauge": _LAST | {
        "orientation": "horizontal", "displayMode": "gradient", "valueMode": "color",
        "namePlacement": "auto", "showUnfilled": True, "sizing": "auto", "minVizWidth": 8,
        "minVizHeight": 16, "maxVizHeight": 300,
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False, "calcs": []},
    },
    "timeseries": {"legend": _LEGEND, "tooltip": {"mode": "multi", "sort": "desc"}},
    "heatmap": {
        "calculate": False,
        "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64, "fill": "dark-orange",
                  "exponent": 0.5, "reverse": False},
        "yAxis": {"unit": "µs"},
        "legend": {"show": True},
        "tooltip": {"mode": "single", "yHistogram": True},
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "showValue": "never",
        "cellGap": 1,
    },
    "table": {"showHeader": True, "frameIndex": 0,
              "sortBy": [{"displayName": "Value", "desc": True}]},
    "logs": {"showTime": True, "wrapLogMessage": True, "enableLogDetails": True,
             "prettifyLogMessage": False, "showLabels": False, "showCommonLabels": False,
             "showLogContextToggle": False, "sortOrder": "Descending", "dedupStrategy": "none"},
}


def panel_of(panel, number, x, y):
    kind = panel["kind"]
    source = panel.get("source", "loki" if kind == "logs" else "prometheus")
    width, height = size(panel)
    made = {
        "id": number,
        "type": kind,
        "title": panel["title"],
        "description": description(panel, panel["title"]),
        "datasource": data_source(source),
        "gridPos": {"x": x, "y": y, "w": width, "h": height},
        "targets": list(targets(panel, kind, source)),
        "fieldConfig": field_config(panel, kind),
        "options": OPTIONS[kind],
    }
    if kind == "table":
        made["transformations"] = [{
            "id": "organize",
            "options": {"excludeByName": {"Time": True}, "indexByName": {}, "renameByName": {}},
        }]
    if "link" in panel:
        title, url = panel["link"]
        made["fieldConfig"]["defaults"]["links"] = [{"title": title, "url": url}]
    return made


def size(panel):
    width, height = SIZES[panel["kind"]]
    return panel.get("w", width), panel.get("h", height)


def panels_of(rows):
    number, y = 0, 0
    for row in rows:
        number += 1
        yield {"id": number, "type": "row", "title": row["title"], "collapsed": False, "panels": [],
               "gridPos": {"x": 0, "y": y, "w": COLUMNS, "h": 1}}
        y += 1
        x = tallest = 0
        for panel in row["panel"]:
            width, height = size(panel)
            if x + width > COLUMNS:
                x, y, tallest = 0, y + tallest, 0
            number += 1
            yield panel_of(panel, number, x, y)
            x, tallest = x + width, max(tallest, height)
        y += tallest


def variables(board):
    yield {"name": "datasource", "type": "datasource", "query": "prometheus",
           "label": "Prometheus", "hide": 0, "refresh": 1, "regex": ""}
    if board.get("loki"):
        yield {"name": "loki", "type": "datasource", "query": "loki",
               "label": "Loki", "hide": 0, "refresh": 1, "regex": ""}
    for name in board["variables"]:
        if name in TEXTS:
            label, default = TEXTS[name]
            current = {"text": default, "value": default}
            yield {"name": name, "type": "textbox", "label": label, "query": default, "hide": 0,
                   "current": current, "options": [{**current, "selected": True}]}
            continue
        label, query = VARIABLES[name]
        query = query.format(**{"metric": "up", **board.get("asks", {})})
        yield {"name": name, "type": "query", "label": label, "hide": 0,
               "datasource": data_source("prometheus"), "refresh": 2, "sort": 1, "regex": "",
               "definition": query,
               "query": {"qryType": 1, "query": query, "refId": "Variable"},
               "multi": True, "includeAll": True, "allValue": ".*",
               "current": {"text": ["All"], "value": ["$__all"]}}


def dashboard(board):
    return {
        "uid": board["uid"],
        "title": board["title"],
        "description": description(board, board["title"]),
        "tags": ["pgmesh", "postgresql"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "time": {"from": "now-1h", "to": "now"},
        "refresh": "30s",
        "timezone": "",
        "links": [{"type": "dashboards", "title": "pgmesh", "tags": ["pgmesh"], "asDropdown": True,
                   "icon": "external link", "includeVars": True, "keepTime": True,
                   "targetBlank": False, "tooltip": "", "url": ""}],
        "annotations": {"list": []},
        "templating": {"list": list(variables(board))},
        "panels": list(panels_of(board["row"])),
    }


def main():
    check = "--check" in sys.argv[1:]
    stale = []
    for source in sorted((HERE / "source").glob("*.toml")):
        text = json.dumps(dashboard(tomllib.loads(source.read_text())), indent=1,
                          ensure_ascii=False) + "\n"
        target = HERE / "dashboards" / f"{source.stem}.json"
        if target.exists() and target.read_text() == text:
            continue
        stale.append(target.name)
        if not check:
            target.parent.mkdir(exist_ok=True)
            target.write_text(text)
    if stale:
        print(("differ: " if check else "wrote: ") + ", ".join(stale))
    sys.exit(1 if check and stale else 0)


if __name__ == "__main__":
    main()
