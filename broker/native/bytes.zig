//! Integers of Avro and of Kafka's record format, and keyed hashes, on byte slices.

const std = @import("std");
const Blake2b = std.crypto.hash.blake2.Blake2b128;

pub const digest_bytes = 16;
pub const Digest = [digest_bytes]u8;
pub const Hex = [2 * digest_bytes]u8;

/// What a record that is not surely right meets: whoever asked reads it by the twin in Python, which knows why.
pub const Unsure = error{Unsure};

/// A keyed hash under one role (broker/model/keyed.py); the key is taken in once.
pub const Hasher = struct {
    /// Before the key's block, and behind it: where data follows, that block is the same for all of it.
    begun: Blake2b,
    keyed: Blake2b,

    pub fn init(key: *const [32]u8, role: []const u8) Hasher {
        var person: [16]u8 = @splat(0);
        @memcpy(person[0..role.len], role);
        const begun = Blake2b.init(.{ .key = key, .context = person });
        var keyed = begun;
        keyed.update(&.{0}); // takes the key's block in
        keyed.buf_len = 0;
        return .{ .begun = begun, .keyed = keyed };
    }

    pub fn hash(self: *const Hasher, data: []const u8) Digest {
        var state = if (data.len == 0) self.begun else self.keyed;
        state.update(data);
        var out: Digest = undefined;
        state.final(&out);
        return out;
    }
};

pub fn hex(digest: Digest) Hex {
    return std.fmt.bytesToHex(digest, .lower);
}

/// The bytes that lower-case hexadecimal digits spell; null where there are others.
pub fn unhex(digits: []const u8, out: []u8) bool {
    for (out, 0..) |*byte, place| {
        const high = nibble(digits[2 * place]) orelse return false;
        const low = nibble(digits[2 * place + 1]) orelse return false;
        byte.* = high << 4 | low;
    }
    return true;
}

fn nibble(digit: u8) ?u8 {
    return switch (digit) {
        '0'...'9' => digit - '0',
        'a'...'f' => digit - 'a' + 10,
        else => null,
    };
}

/// Reads one value from its start to its end; every step past the end is `Unsure`.
pub const Reader = struct {
    bytes: []const u8,
    at: usize,

    pub fn byte(self: *Reader) Unsure!u8 {
        if (self.at >= self.bytes.len) return error.Unsure;
        defer self.at += 1;
        return self.bytes[self.at];
    }

    pub fn take(self: *Reader, size: u64) Unsure![]const u8 {
        if (size > self.bytes.len - self.at) return error.Unsure;
        defer self.at += @intCast(size);
        return self.bytes[self.at..][0..@intCast(size)];
    }

    /// A zig-zag number in its shortest form.
    pub fn long(self: *Reader) Unsure!i64 {
        var last = try self.byte();
        var raw: u64 = last & 0x7f;
        var shift: u8 = 7;
        while (last >= 0x80) : (shift += 7) {
            if (shift > 63) return error.Unsure;
            last = try self.byte();
            if (last == 0 or (shift == 63 and last > 1)) return error.Unsure;
            raw |= @as(u64, last & 0x7f) << @intCast(shift);
        }
        return @bitCast((raw >> 1) ^ (0 -% (raw & 1)));
    }

    pub fn length(self: *Reader) Unsure!u64 {
        return std.math.cast(u64, try self.long()) orelse error.Unsure;
    }
};

/// The text of an encoded string that was walked; null where it, or a record above it, is null.
pub fn content(raw: []const u8, nullable: bool) ?[]const u8 {
    const sized = if (!nullable) raw else if (raw.len > 0 and raw[0] == 2) raw[1..] else return null;
    var reader: Reader = .{ .bytes = sized, .at = 0 };
    _ = reader.long() catch return null;
    return sized[reader.at..];
}

/// Writes into room whose size was worked out before.
pub const Writer = struct {
    room: []u8,
    at: usize = 0,

    pub fn bytes(self: *Writer, data: []const u8) void {
        @memcpy(self.room[self.at..][0..data.len], data);
        self.at += data.len;
    }

    pub fn byte(self: *Writer, value: u8) void {
        self.room[self.at] = value;
        self.at += 1;
    }

    pub fn long(self: *Writer, number: i64) void {
        var raw = zigzag(number);
        while (raw > 0x7f) : (raw >>= 7) self.byte(@as(u8, @truncate(raw)) | 0x80);
        self.byte(@truncate(raw));
    }
};

pub fn longSize(number: i64) usize {
    var raw = zigzag(number) >> 7;
    var size: usize = 1;
    while (raw > 0) : (raw >>= 7) size += 1;
    return size;
}

fn zigzag(number: i64) u64 {
    return @bitCast((number << 1) ^ (number >> 63));
}
