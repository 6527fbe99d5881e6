//! Kafka's record batches (format v2) as columns: where keys and values lie, offsets, traces.

const std = @import("std");
const bytes = @import("bytes.zig");
const Verdict = @import("admit.zig").Verdict;
const key_characters = @import("admit.zig").key_characters;

pub const trace_characters = 55;

/// The records of one batch, uncompressed, of which those before offset `first` are not asked for.
const Section = extern struct { begin: u64, end: u64, base: i64, first: i64, records: u64 };

pub const Unpacking = extern struct {
    data: [*]const u8,
    sections: [*]const Section,
    sections_count: u64,
    /// Out, per record; a key of another length is `ask` and zeros, a `traceparent` of another length blanks.
    keys: [*][key_characters]u8,
    begins: [*]u64,
    ends: [*]u64,
    verdicts: [*]u8,
    offsets: [*]i64,
    traces: [*][trace_characters]u8,

    fn record(self: *const Unpacking, reader: *bytes.Reader, number: usize, offset: i64) bytes.Unsure!void {
        self.offsets[number] = offset;
        self.keys[number] = @splat('0');
        self.traces[number] = @splat(' ');
        const key = try text(reader);
        const surely = key != null and key.?.len == key_characters;
        if (surely) @memcpy(&self.keys[number], key.?);
        const value = try text(reader);
        self.ends[number] = reader.at;
        self.begins[number] = reader.at - if (value) |there| there.len else 0;
        const verdict: Verdict = if (!surely) .ask else if (value == null) .deletion else .value;
        self.verdicts[number] = @intFromEnum(verdict);
        for (0..@intCast(try reader.length())) |_| {
            const name = try text(reader) orelse return error.Unsure;
            const told = try text(reader);
            if (!std.mem.eql(u8, name, "traceparent")) continue;
            if (told) |trace| {
                if (trace.len == trace_characters) @memcpy(&self.traces[number], trace);
            }
            return; // the first of that name counts, and nothing behind it is asked for
        }
    }
};

/// Attributes, time and place of a record; returns its offset.
fn head(reader: *bytes.Reader, base: i64) bytes.Unsure!i64 {
    _ = try reader.byte();
    _ = try reader.long();
    return std.math.add(i64, base, try reader.long()) catch error.Unsure;
}

/// Bytes behind their length; null where that is -1.
fn text(reader: *bytes.Reader) bytes.Unsure!?[]const u8 {
    const size = try reader.long();
    if (size == -1) return null;
    return try reader.take(std.math.cast(u64, size) orelse return error.Unsure);
}

/// Returns the number of records.
pub fn unpack(self: *const Unpacking, _: std.mem.Allocator) !u64 {
    var number: usize = 0;
    for (self.sections[0..@intCast(self.sections_count)]) |section| {
        var reader: bytes.Reader = .{ .bytes = self.data[0..@intCast(section.end)], .at = @intCast(section.begin) };
        for (0..@intCast(section.records)) |_| {
            const size = try reader.length();
            if (size > reader.bytes.len - reader.at) return error.Unsure;
            const end = reader.at + @as(usize, @intCast(size));
            const offset = try head(&reader, section.base);
            if (offset >= section.first) {
                try self.record(&reader, number, offset);
                number += 1;
            }
            if (reader.at > end) return error.Unsure;
            reader.at = end;
        }
        if (reader.at != section.end) return error.Unsure;
    }
    return number;
}
