"""Takes out of an output what must differ between two servers: addresses, ids, times, sizes."""

import json
import re

# Log lines of etcdctl and etcdutl: only these fields say something about the server.
LOG_FIELDS = ("level", "msg", "error")

PATTERNS = [
    (re.compile(r"\b\d+(\.\d+)?(ns|µs|us|ms|s)\b(?=[.\"\s,|]|$)"), "<TIME>"),
    (re.compile(r"\blease [0-9a-f]{16}\b"), "lease <LEASE>"),
    (re.compile(r"\b0x[0-9a-f]{6,}\b"), "<ADDRESS>"),
    (re.compile(r"\b3\.5\.\d+\b"), "3.5.x"),
    (re.compile(r"\b\d+(\.\d+)? ?(k|M|G)?i?B\b"), "<SIZE>"),
    (re.compile(r'("(?:dbSize|dbSizeInUse|totalSize|DBSize|DBSizeInUse|Size)" ?: ?)\d+'), r"\1<SIZE>"),
]


def _log_line(line):
    """A structured log line cut down to its meaning, or None for any other line."""
    if not line.startswith("{"):
        return None
    try:
        record = json.loads(line)
    except ValueError:
        return None
    if not isinstance(record, dict) or "level" not in record:
        return None
    return json.dumps({name: record[name] for name in LOG_FIELDS if name in record})


def _line(line):
    log = _log_line(line)
    if log is not None:
        return log
    # Tables are as wide as their content; newer etcdctl draws them with other characters.
    if line[:1] in ("+", "┌", "├", "└") and set(line) <= set("+-┌├└─┬┼┴┐┤┘"):
        return "+---+"
    if line[:1] in ("|", "│"):
        return "|".join(cell.strip() for cell in re.split("[|│]", line))
    return line


def normalise(text, names, scrub=()):
    """`names` maps literal texts of one side (ids, addresses, paths) to labels; `scrub` holds further (pattern, replacement)."""
    for literal in sorted(names, key=len, reverse=True):
        text = re.sub(rf"(?<![0-9A-Za-z]){re.escape(literal)}(?![0-9A-Za-z])", names[literal], text)
    # etcdctl pads some ids, which may have a leading zero.
    text = re.sub(r" +(<[A-Z]+>)", r" \1", text)
    lines = []
    for line in text.split("\n"):
        line = _line(line)
        for pattern, replacement in PATTERNS:
            line = pattern.sub(replacement, line)
        lines.append(line)
    text = "\n".join(lines)
    for pattern, replacement in scrub:
        text = re.sub(pattern, replacement, text)
    return text
