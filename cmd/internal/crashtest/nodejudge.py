# The judge of the sensor node's tests: compares the node's flash, byte for byte as
# it lies in the chip, with the lake. No code of Landfall's takes part.
#
# Arguments: the lake, then for each node its number and the image of its flash.
# Prints lines "check,violations,example"; a check whose name begins with '#' is a
# figure.
import glob, struct, sys, zlib
import duckdb

SECTOR, HEADER, SLOT = 65536, 256, 64


def flash(name):
    """Readings in the ring by number, UTC at the reset by boot, number of the last reading."""
    image = open(name, "rb").read()
    u32 = lambda p, at: struct.unpack_from("<I", p, at)[0]
    u64 = lambda p, at: struct.unpack_from("<Q", p, at)[0]
    readings, clocks, last, formats = {}, {}, 0, set()
    for sector in range(len(image) // SECTOR):
        h = image[sector * SECTOR:][:HEADER]
        if h[:4] != b"LFN\x01" or zlib.crc32(h[4:252]) != u32(h, 252):
            continue
        generation, fmt = u32(h, 4), u64(h, 16)
        formats.add(fmt)
        for i in range((SECTOR - HEADER) // SLOT):
            at = sector * SECTOR + HEADER + i * SLOT
            s = image[at:at + SLOT]
            if zlib.crc32(s[:60], (fmt & 0xFFFFFFFF) ^ generation) != u32(s, 60):
                continue
            number, boot, clock = u64(s, 4), u32(s, 12), struct.unpack_from("<q", s, 28)[0]
            last = max(last, number)
            if clock:
                clocks.setdefault(boot, clock)
            if s[0] == 1:
                if number in readings:
                    print("number twice in the flash,1,%d" % number)
                readings[number] = s[1:36 + 4 * s[1]]
    if len(formats) > 1:
        print("formats in one flash,%d," % len(formats))
    return readings, clocks, last


def report(raw):
    """Address, reason and payload of a report as the record holds it."""
    at = 3
    parts = []
    for _ in range(3):
        n = shift = 0
        while True:
            b = raw[at]
            at += 1
            n |= (b & 127) << shift
            shift += 7
            if b < 128:
                break
        parts.append(raw[at:at + n])
        at += n
    return parts


def rows(con, lake, table, columns, where):
    name = "%s/%s/dt=*/*.parquet" % (lake, table)
    if not glob.glob(name):
        return []
    return con.execute("SELECT %s FROM read_parquet('%s', hive_partitioning = false) WHERE %s" % (columns, name, where)).fetchall()


def say(check, found, figure=False):
    found = sorted(found)
    print("%s,%d,%s" % (check, len(found), found[0] if found and not figure else ""))


def judge(con, lake, number, image):
    sensor = "node-%x" % int(number)
    held, clocks, last = flash(image)
    taken, twice, conflicts, wrong, covered, elsewhere, kept = {}, [], [], [], [], [], set()
    for raw, in rows(con, lake, "record", "raw", "kind = 'reading'"):
        address, reason, payload = report(raw)
        if address.split(b"/")[0].decode() != sensor:
            continue
        if reason:
            conflicts.append(reason.decode())
            kept.add(payload[13:])
        elif payload[0] == 3:
            n = struct.unpack_from("<Q", payload, 16)[0]
            if n in taken:
                twice.append(n)
            taken[n] = payload[13:]
        elif payload[0] == 5:
            elsewhere.append(struct.unpack_from("<Q", payload, 5)[0])
    ranges = {}
    for off, log, metric, value in rows(con, lake, "sensor_reading", "_offset, _log, metric, value", "sensor = '%s' AND metric LIKE 'lost_%%'" % sensor):
        ranges.setdefault((log, off), {})[metric] = int(value)
    for r in ranges.values():
        covered += range(r["lost_first"], r["lost_last"] + 1)
    for n, content in taken.items():
        if n in held and held[n] != content:
            wrong.append(n)
    lost = set(covered)
    nowhere = [n for n, content in held.items() if content != taken.get(n) and content not in kept and n not in lost]
    every = list(taken) + covered
    say(sensor + ": number twice", twice)
    say(sensor + ": number twice in readings and ranges", [n for n in set(every) if every.count(n) > 1] if len(every) != len(set(every)) else [])
    say(sensor + ": number missing", set(range(1, last + 1)) - set(every))
    say(sensor + ": number that the node never gave", set(every) - set(range(1, last + 1)))
    say(sensor + ": content that is not the flash's", wrong)
    say(sensor + ": contradiction", conflicts)
    say(sensor + ": content of the flash that is nowhere", nowhere)
    say(sensor + ": range told as taken elsewhere", elsewhere)
    # The typed rows, by SQL alone: each number once, each value what the flash holds.
    typed = rows(con, lake, "sensor_reading", "_log, _offset, metric, value, quality, epoch_us(event_time)", "sensor = '%s' AND metric NOT LIKE 'lost_%%'" % sensor)
    numbers = {(l, o): int(v) for l, o, m, v, q, e in typed if m == "sequence"}
    say(sensor + ": rows that are not one a number", set(numbers.values()) ^ set(taken) if len(numbers) == len(taken) else range(abs(len(numbers) - len(taken))))
    bad = []
    for l, o, m, v, q, e in typed:
        n = numbers.get((l, o))
        if n not in held:
            continue
        s = held[n]
        if s != taken.get(n):
            continue  # told above
        t, p, u = struct.unpack_from("<iii", s, 35)
        want = {"temperature": t / 1000, "pressure": None if p == -2**31 else p, "supply": u / 1000, "sequence": n}[m]
        boot, uptime, clock = struct.unpack_from("<I", s, 11)[0], struct.unpack_from("<Q", s, 19)[0], struct.unpack_from("<q", s, 27)[0]
        # A reading from before the first time of its boot is dated when it is sent, by
        # the time as known then.
        dated, slack = clock or clocks.get(boot), 0 if clock else 2_000_000
        if v != want or (v is None) != (q == "bad_timeout") or dated and abs(e - dated - uptime) > slack:
            bad.append((n, m, v, want))
    say(sensor + ": row that is not the flash's", bad)
    say("# " + sensor + ": readings in the lake", taken, True)
    say("# " + sensor + ": readings in the flash", held, True)
    say("# " + sensor + ": numbers in ranges that the node lost", covered, True)
    say("# " + sensor + ": boots with a time", clocks, True)


lake, nodes = sys.argv[1], sys.argv[2:]
for number, image in zip(nodes[::2], nodes[1::2]):
    judge(duckdb.connect(), lake, number, image)
