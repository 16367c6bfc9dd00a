#!/usr/bin/env python3
"""Reads a recording of gofuncgraph: written from docs/FORMAT.md alone, with nothing but Python's
own library. Prints what `tests/recording_format.rs` compares with the tracer's reader.

    read_recording.py FILE

One line for the header, one for each event, one for the losses of each events block, and one for
the end; fields are separated by tabs, and `-` stands for what an event does not have:

    kind pid goid sequence tree mark depth function time_ns place
"""

import json
import sys
import zlib

MAGIC = b"\x93gfgrec\n"
U64 = (1 << 64) - 1


class Damage(Exception):
    """What stands there is not as the format says."""


def check(condition, problem):
    if not condition:
        raise Damage(problem)


def expand_lz4(stored, length):
    """One block of the LZ4 block format."""
    out = bytearray()
    at = 0
    while True:
        token = stored[at]
        at += 1
        literals = token >> 4
        if literals == 15:
            while True:
                more = stored[at]
                at += 1
                literals += more
                if more != 255:
                    break
        out += stored[at : at + literals]
        at += literals
        if at >= len(stored):
            break
        distance = stored[at] | stored[at + 1] << 8
        at += 2
        check(0 < distance <= len(out), "match before the beginning")
        matched = token & 15
        if matched == 15:
            while True:
                more = stored[at]
                at += 1
                matched += more
                if more != 255:
                    break
        for _ in range(matched + 4):
            out.append(out[-distance])
        check(len(out) <= length, "longer than stated")
    check(len(out) == length, "another length than stated")
    return bytes(out)


class Fields:
    """Takes one field after the other from a payload."""

    def __init__(self, payload):
        self.payload = payload
        self.at = 0

    def byte(self):
        check(self.at < len(self.payload), "field ends early")
        self.at += 1
        return self.payload[self.at - 1]

    def unsigned(self, limit=1 << 64):
        value = 0
        for shift in range(0, 70, 7):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                check(value < limit, "number too large")
                return value
        raise Damage("number of too many bytes")

    def u16(self):
        return self.unsigned(1 << 16)

    def u32(self):
        return self.unsigned(1 << 32)

    def signed(self):
        value = self.unsigned()
        return (value >> 1) ^ -(value & 1)

    def text(self):
        length = self.unsigned()
        check(length <= len(self.payload) - self.at, "text ends early")
        self.at += length
        return self.payload[self.at - length : self.at].decode("utf-8")


class Definitions:
    """Names and places that events refer to."""

    def __init__(self):
        self.texts = []
        self.functions = []
        self.rets = {}
        self.calls = []
        self.images = []

    def position(self, fields):
        offset = fields.unsigned()
        file = fields.u32()
        if file == 0:
            return "+%d ?:0" % offset
        return "+%d %s:%d" % (offset, self.texts[file - 1], fields.u32())

    def read(self, payload, count):
        fields = Fields(payload)
        for _ in range(count):
            kind = fields.byte()
            if kind == 1:
                self.texts.append(fields.text())
            elif kind == 2:
                name = self.texts[fields.u32()]
                self.functions.append((name, fields.unsigned(), fields.byte()))
            elif kind == 3:
                site = fields.u32()
                self.rets[site] = self.position(fields)
            elif kind == 4:
                callee, address = fields.u32(), fields.unsigned()
                place = "?+0 ?:0"
                if fields.byte() != 0:
                    caller = self.texts[fields.u32()]
                    place = caller + self.position(fields)
                self.functions[callee]
                self.calls.append((callee, address, place))
            elif kind == 5:
                self.images.append(fields.unsigned())
            elif kind == 6:
                self.calls = []
            elif kind == 7:
                self.images = []
            else:
                raise Damage("unknown definition %d" % kind)


class Goroutine:
    def __init__(self, pid, goid, image):
        self.pid = pid
        self.goid = goid
        self.next_sequence = 0
        self.next_tree = 0
        self.frames = []
        self.image = image

    def top_depth(self):
        return self.frames[-1][0] if self.frames else 0

    def leave(self, is_over):
        while self.frames and is_over(self.frames[-1][0]):
            self.frames.pop()


class EventsBlock:
    """What is kept within a block of events."""

    def __init__(self, definitions):
        self.definitions = definitions
        self.time = 0
        self.goroutines = []
        self.current = 0
        self.image = 0
        self.frame_bytes = {}
        self.last_ret = {}

    def read_time(self, fields):
        self.time = (self.time + fields.signed()) & U64
        return self.time

    def read(self, fields):
        """A tuple, in the order of the columns."""
        tag = fields.byte()
        kind = tag & 7
        mark = tag >> 5 & 1
        if kind == 3:
            time, pid = self.read_time(fields), fields.u32()
            return ("process-end", pid, "-", "-", "-", mark, "-", "-", time, "-")
        if kind == 4:
            time = self.read_time(fields)
            pid, goid = fields.u32(), fields.unsigned()
            sequence, tree = fields.unsigned(), fields.u16()
            return ("loss", pid, goid, sequence, tree, mark, "-", "-", time, "-")
        if not tag & 8:
            self.current = fields.unsigned()
            if self.current == len(self.goroutines):
                pid, goid = fields.u32(), fields.unsigned()
                self.goroutines.append(Goroutine(pid, goid, self.image))
        check(self.current < len(self.goroutines), "unknown goroutine")
        goroutine = self.goroutines[self.current]
        time = self.read_time(fields)
        sequence, tree = goroutine.next_sequence, goroutine.next_tree
        if not tag & 16:
            sequence = (sequence + fields.signed()) & U64
            tree = fields.u16()
        name, read = {
            0: ("entry", self.read_entry),
            1: ("return", self.read_return),
            2: ("close", self.read_close),
            5: ("observed", self.read_observed),
            6: ("entry", self.read_entry),
            7: ("checked", self.read_checked),
        }[kind]
        self.already_open = False
        depth, function, place = read(fields, tag, goroutine)
        if name != "entry" and mark:
            goroutine.next_sequence = goroutine.next_tree = 0
        else:
            numbers = 0 if self.already_open else 1
            goroutine.next_sequence = (sequence + numbers) & U64
            goroutine.next_tree = tree
        whose = (goroutine.pid, goroutine.goid)
        return (name, *whose, sequence, tree, mark, depth, function, time, place)

    def read_entry(self, fields, tag, goroutine):
        end_probe = ""
        if tag & 7 == 6:
            code = fields.byte()
            end_probe = {
                1: lambda: " observer",
                2: lambda: " unobserved",
                3: lambda: " observer",
                4: lambda: " observer@%#x" % fields.unsigned(),
                5: lambda: " observer@%#x" % fields.unsigned(),
                6: lambda: " return@%d" % fields.unsigned(),
                7: lambda: " return@%d" % fields.unsigned(),
                8: lambda: " open",
                9: lambda: " open unobserved",
            }[code]()
            self.already_open = code in (8, 9)
            if code in (3, 5, 7):
                end_probe += " " + str(fields.u32())
        call = fields.u32()
        frame = self.frame_bytes[call] if tag & 64 else fields.signed()
        self.frame_bytes[call] = frame
        depth = (goroutine.top_depth() + frame) & U64
        if not tag & 128:
            goroutine.image = fields.u32()
        self.image = goroutine.image
        callee, address, place = self.definitions.calls[call]
        runtime_address = (address + self.definitions.images[goroutine.image]) & U64
        goroutine.leave(lambda open: open >= depth)
        goroutine.frames.append((depth, callee, address))
        name = self.definitions.functions[callee][0]
        return depth, name, "%#x %s%s" % (runtime_address, place, end_probe)

    def read_return(self, fields, tag, goroutine):
        if tag & 64:
            depth, function, _ = goroutine.frames[-1]
        else:
            function = fields.u32()
            depth = (goroutine.top_depth() + fields.signed()) & U64
        site = self.last_ret[function] if tag & 128 else fields.u32()
        self.last_ret[function] = site
        goroutine.leave(lambda open: open >= depth)
        place = self.definitions.rets.get(site, "+0 ?:0")
        return depth, self.definitions.functions[function][0], place

    def read_close(self, fields, _, goroutine):
        cause = fields.byte()
        check(1 <= cause <= 5, "unknown cause")
        depth = (goroutine.top_depth() + fields.signed()) & U64
        goroutine.leave(lambda open: open > depth)
        causes = ("recovered", "goroutine-exit", "superseded", "unobserved", "signal-panic")
        return depth, "-", causes[cause - 1]

    def read_observed(self, fields, tag, goroutine):
        if tag & 64:
            depth = (goroutine.frames[-1][0] - 8) & U64
        else:
            depth = (goroutine.top_depth() + fields.signed()) & U64
        address = goroutine.frames[-1][2] if tag & 128 else fields.unsigned()
        goroutine.leave(lambda open: open > depth)
        return depth, "-", "%#x" % address

    def read_checked(self, fields, _, goroutine):
        function = fields.u32()
        depth = (goroutine.top_depth() + fields.signed()) & U64
        return depth, self.definitions.functions[function][0], "-"


def read_place(definitions, fields):
    """Address, function and position; `-` for none."""
    address = fields.unsigned()
    if address == 0:
        return "-"
    name = fields.u32()
    if name == 0:
        return "%#x ?+0 ?:0" % address
    return "%#x %s%s" % (address, definitions.texts[name - 1], definitions.position(fields))


def read_call(fields):
    """The call that panicked."""
    kind = fields.byte()
    check(kind <= 2, "unknown call")
    if kind == 0:
        return ""
    depth = fields.unsigned()
    return " call@%d" % depth + (":%#x" % fields.unsigned() if kind == 1 else "")


def read_reasons(definitions, payload, count):
    """Pairs of an event's number in the next block of events and a tuple of columns."""
    fields = Fields(payload)
    reasons = []
    for _ in range(count):
        kind, length = fields.byte(), fields.unsigned()
        check(length <= len(payload) - fields.at, "reason ends early")
        body = Fields(payload[fields.at : fields.at + length])
        fields.at += length
        if not 1 <= kind <= 7:
            continue
        before, time, pid = body.u32(), body.unsigned(), body.u32()
        place = read_place(definitions, body)
        if kind <= 3:
            goid, sequence, tree = body.unsigned(), body.unsigned(), body.u16()
            name, depth = ("panic", "recovery", "goexit")[kind - 1], "-"
            if kind == 1:
                depth = body.unsigned()
                place += read_call(body)
            columns = (name, pid, goid, sequence, tree, "-", depth, "-", time, place)
        else:
            what = {
                4: lambda: "panic %s" % place,
                5: lambda: "exit %d %s" % (body.signed(), place),
                6: lambda: "fatal-error",
                7: lambda: "signal %d" % body.byte(),
            }[kind]()
            columns = ("process-ending", pid, *6 * ["-"], time, what)
        reasons.append((before, columns))
    return reasons


# Loss counters that are known.
COUNTERS = 20


def read_trailer(fields):
    time = fields.unsigned()
    counters = [fields.unsigned() for _ in range(fields.unsigned())]
    return time, (counters + COUNTERS * [0])[:COUNTERS]


def blocks(source):
    """Kind, number of records and payload of each whole block."""
    while len(head := source.read(24)) == 24:
        word = lambda at: int.from_bytes(head[at : at + 4], "little")
        check(zlib.crc32(head[:20]) == word(20), "checksum of the head")
        records, length, stored_length = word(4), word(8), word(12)
        check(stored_length <= length <= 4 << 20, "length")
        check(records <= 1 << 16, "records")
        stored = source.read(stored_length)
        if len(stored) < stored_length:
            return
        check(zlib.crc32(stored) == word(16), "checksum")
        if head[1] & 1:
            yield head[0], records, expand_lz4(stored, length)
        else:
            check(length == stored_length, "length")
            yield head[0], records, stored


def cost(cost):
    """What hits cost, of the header."""
    kinds = ["entry", "stepped_entry", "return", "observer"]
    least = ["least_by_return_ns", "least_by_observer_ns"]
    hits = cost.get("hits")
    if hits is None:
        numbers = "-"
    else:
        tables = [hits.get("inside_ns", {}), hits.get("outside_ns", {})]
        numbers = [table.get(kind, 0) for table in tables for kind in kinds]
        numbers += [hits.get(name, 0) for name in least]
        numbers = ",".join(map(str, numbers))
    stepped = ",".join(map(str, cost.get("stepped_functions", [])))
    return cost.get("enabled_monotonic_ns", 0), numbers, stepped


def row(*fields):
    print("\t".join(str(field) for field in fields))


def read_recording(source):
    preamble = source.read(12)
    check(preamble[:8] == MAGIC, "this is not a recording")
    version = int.from_bytes(preamble[8:10], "little")
    check(version == 1, "version %d is not known" % version)
    definitions = Definitions()
    events = 0
    reasons = []
    for number, (kind, records, payload) in enumerate(blocks(source)):
        check((kind == 1) == (number == 0), "the header is not the first block")
        if kind == 1:
            header = json.loads(payload)
            row(
                "header",
                header["target"]["path"],
                header["target"]["go_version"],
                header["start_monotonic_ns"],
                header["realtime_minus_monotonic_ns"],
                header["utc_offset_seconds"],
                *cost(header.get("cost", {})),
            )
        elif kind == 2:
            definitions.read(payload, records)
        elif kind == 3:
            fields = Fields(payload)
            block = EventsBlock(definitions)
            for index in range(records):
                while reasons and reasons[0][0] <= index:
                    row(*reasons.pop(0)[1])
                row(*block.read(fields))
            for _, columns in reasons:
                row(*columns)
            reasons = []
            events += records
            _, losses = read_trailer(fields)
            row("losses", *losses)
        elif kind == 5:
            reasons = read_reasons(definitions, payload, records)
        elif kind == 4:
            fields = Fields(payload)
            reason, counted = fields.byte(), fields.unsigned()
            time, losses = read_trailer(fields)
            check(counted == events, "number of events")
            row("end", reason, events, time, *losses)
            check(not source.read(1), "bytes after the end block")
            return
    row("cut", events)


def main():
    with open(sys.argv[1], "rb") as source:
        try:
            read_recording(source)
        except (Damage, IndexError, KeyError, ValueError) as problem:
            sys.exit("damaged: %r" % problem)


if __name__ == "__main__":
    main()
