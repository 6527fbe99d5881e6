//! The door for a whole batch: which records are surely right, where their cut points lie, which are alike.

const std = @import("std");
const bytes = @import("bytes.zig");
const walk = @import("walk.zig");

pub const key_characters = 32;
pub const wire_header_bytes = 5;
const most_value = 1 << 20;

pub const Verdict = enum(u8) { value = 0, deletion = 1, ask = 2, _ };

/// How a subject's identifier must look for the wall between real and synthetic persons to let it pass at a glance.
const Wall = enum(u32) { none = 0, synthetic = 1, real = 2, _ };

pub const Admission = extern struct {
    records: u64,
    keys: [*]const u8,
    data: [*]const u8,
    begins: [*]const u64,
    ends: [*]const u64,
    /// In: what each record is at a glance; out: `ask` for what is not surely right.
    verdicts: [*]u8,
    frame: [8]u8,
    program: [*]const u32,
    program_words: u64,
    points_each: u64,
    k_lane: [32]u8,
    lane: u32,
    lanes: u32,
    principal: u32,
    principal_nullable: u32,
    wall: u32,
    /// Slots whose bytes are the values that decisions look at.
    asked: [*]const u32,
    asked_count: u64,
    /// Out, per record: cut points (`points_each`), key as bytes, and which combination of those values it has.
    points: [*]u32,
    packed_keys: [*]bytes.Digest,
    combinations: [*]u32,
    /// Out: the first record of each combination.
    firsts: [*]u32,

    pub fn value(self: *const Admission, record: usize) []const u8 {
        return self.data[@intCast(self.begins[record])..@intCast(self.ends[record])];
    }

    pub fn cuts(self: *const Admission, record: usize) []u32 {
        return self.points[record * @as(usize, @intCast(self.points_each)) ..][0..@intCast(self.points_each)];
    }

    pub fn slot(self: *const Admission, record: usize, number: u32) []const u8 {
        const at = self.cuts(record);
        return self.value(record)[at[number]..at[number + 1]];
    }
};

/// Returns the number of combinations.
pub fn admit(self: *const Admission, gpa: std.mem.Allocator) !u64 {
    const lane_key = bytes.Hasher.init(&self.k_lane, "lane");
    var known: Combinations = .empty;
    try known.ensureTotalCapacityContext(gpa, 1024, .{ .batch = self });
    for (0..@intCast(self.records)) |record| {
        const verdict = &self.verdicts[record];
        if (right(self, &lane_key, record) catch false) {
            if (verdict.* != @intFromEnum(Verdict.value)) continue;
            const found = try known.getOrPutContext(gpa, @intCast(record), .{ .batch = self });
            if (!found.found_existing) {
                found.value_ptr.* = known.count() - 1;
                self.firsts[found.value_ptr.*] = @intCast(record);
            }
            self.combinations[record] = found.value_ptr.*;
        } else verdict.* = @intFromEnum(Verdict.ask);
    }
    return known.count();
}

fn right(self: *const Admission, lane_key: *const bytes.Hasher, record: usize) !bool {
    const key = self.keys[record * key_characters ..][0..key_characters];
    const spelled = &self.packed_keys[record];
    if (!bytes.unhex(key, spelled)) return false;
    const verdict: Verdict = @enumFromInt(self.verdicts[record]);
    if (verdict == .ask) return false;
    if (std.mem.readInt(u32, spelled[0..4], .big) % self.lanes != self.lane) return false;
    if (verdict == .deletion) return true;
    const value = self.value(record);
    if (value.len > most_value or !std.mem.startsWith(u8, value, self.frame[0..wire_header_bytes])) return false;
    var reader: bytes.Reader = .{ .bytes = value, .at = wire_header_bytes };
    const left = try walk.run(self.program[0..@intCast(self.program_words)], &reader, self.cuts(record));
    if (left.len != 0 or reader.at != value.len) return false;
    const subject = bytes.content(self.slot(record, self.principal), self.principal_nullable != 0) orelse return false;
    if (!passes(@enumFromInt(self.wall), subject)) return false;
    return std.mem.eql(u8, spelled, &lane_key.hash(subject));
}

fn passes(wall: Wall, subject: []const u8) bool {
    if (wall == .none) return true;
    if (subject.len != 11) return false;
    for (subject) |digit| if (digit < '0' or digit > '9') return false;
    return (subject[2] >= '6') == (wall == .synthetic);
}

const Combinations = std.HashMapUnmanaged(u32, u32, Asked, 80);

/// Records are alike in which decisions find the same.
const Asked = struct {
    batch: *const Admission,

    fn slots(self: Asked) []const u32 {
        return self.batch.asked[0..@intCast(self.batch.asked_count)];
    }

    pub fn hash(self: Asked, record: u32) u64 {
        var state = std.hash.Wyhash.init(0);
        for (self.slots()) |number| {
            const part = self.batch.slot(record, number);
            state.update(std.mem.asBytes(&part.len));
            state.update(part);
        }
        return state.final();
    }

    pub fn eql(self: Asked, one: u32, other: u32) bool {
        for (self.slots()) |number| {
            if (!std.mem.eql(u8, self.batch.slot(one, number), self.batch.slot(other, number))) return false;
        }
        return true;
    }
};
