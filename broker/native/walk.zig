//! The guard of one schema, as a program that is run over a framed value: the native twin of broker/schema/guard.py.
//!
//! It takes nothing that the twin refuses; what it is not sure of it leaves to the twin.

const std = @import("std");
const Reader = @import("bytes.zig").Reader;
const Unsure = @import("bytes.zig").Unsure;

/// Instructions, in the low byte of a word with an argument above it; broker/native/program.py writes them.
const Code = enum(u8) {
    /// Notes a cut point.
    point,
    text,
    bytes,
    int,
    long,
    date,
    millis,
    boolean,
    float,
    double,
    /// Argument: bytes.
    fixed,
    /// Argument: symbols.
    enumeration,
    /// Argument: words to pass over where it is null; the next word is how many cut points lie there.
    nullable,
    /// Argument: words of an item's program, behind the next word: the fewest bytes of an item.
    array,
    _,
};

/// Runs `program` on what `reader` has; `points` is filled from its start, and what is left of it is returned.
pub fn run(program: []const u32, reader: *Reader, points: []u32) Unsure![]u32 {
    var left = points;
    var pc: usize = 0;
    while (pc < program.len) {
        const word = program[pc];
        const argument = word >> 8;
        pc += 1;
        switch (@as(Code, @enumFromInt(word & 0xff))) {
            .point => {
                left[0] = @intCast(reader.at);
                left = left[1..];
            },
            .text => {
                const text = try reader.take(try reader.length());
                var seen: u8 = 0;
                for (text) |byte| seen |= byte;
                if (seen >= 0x80 and !std.unicode.utf8ValidateSlice(text)) return error.Unsure;
            },
            .bytes => _ = try reader.take(try reader.length()),
            .int => try within(reader, std.math.minInt(i32), std.math.maxInt(i32)),
            .long => _ = try reader.long(),
            .date => try within(reader, -719_162, 2_932_896),
            .millis => try within(reader, -62_135_596_800_000, 253_402_300_799_999),
            .boolean => if (try reader.byte() > 1) return error.Unsure,
            .float => try finite(u32, try reader.take(4), 0x7f80_0000),
            .double => try finite(u64, try reader.take(8), 0x7ff0_0000_0000_0000),
            .fixed => _ = try reader.take(argument),
            .enumeration => try within(reader, 0, @as(i64, argument) - 1),
            .nullable => {
                const below = program[pc];
                pc += 1;
                switch (try reader.byte()) {
                    0 => {
                        for (left[0..below]) |*point| point.* = @intCast(reader.at);
                        left = left[below..];
                        pc += argument;
                    },
                    2 => {},
                    else => return error.Unsure,
                }
            },
            .array => {
                const fewest = program[pc];
                const item = program[pc + 1 ..][0..argument];
                pc += 1 + argument;
                const count = try reader.length();
                if (count == 0) continue;
                if (count > (reader.bytes.len - reader.at) / fewest) return error.Unsure;
                for (0..@intCast(count)) |_| _ = try run(item, reader, &.{});
                if (try reader.byte() != 0) return error.Unsure;
            },
            _ => return error.Unsure,
        }
    }
    return left;
}

fn within(reader: *Reader, low: i64, high: i64) Unsure!void {
    const number = try reader.long();
    if (number < low or number > high) return error.Unsure;
}

fn finite(comptime Bits: type, raw: []const u8, exponent: Bits) Unsure!void {
    if (std.mem.readInt(Bits, raw[0..@sizeOf(Bits)], .little) & exponent == exponent) return error.Unsure;
}
