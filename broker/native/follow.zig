//! Whom a batch is about, and which of its records have the same past and the same present, so that one decision is theirs.

const std = @import("std");
const bytes = @import("bytes.zig");
const Admission = @import("admit.zig").Admission;
const Verdict = @import("admit.zig").Verdict;

const none = std.math.maxInt(u32);
const kind_at = 5;

pub const Subjects = extern struct {
    records: u64,
    /// In and out: where one record of a subject must be asked about, all of its are.
    verdicts: [*]u8,
    packed_keys: [*]const bytes.Digest,
    /// Out, per record: its subject, of those that need not be asked about.
    subjects: [*]u32,
    /// Out, per such subject, in the order of the keys.
    keys: [*]bytes.Digest,
};

const Placed = struct {
    key: u128,
    record: u32,

    fn before(_: void, one: Placed, other: Placed) bool {
        return one.key < other.key or (one.key == other.key and one.record < other.record);
    }
};

/// Returns the number of subjects.
pub fn subjects(self: *const Subjects, gpa: std.mem.Allocator) !u64 {
    const placed = try gpa.alloc(Placed, @intCast(self.records));
    for (placed, 0..) |*each, record| {
        each.* = .{ .key = std.mem.readInt(u128, &self.packed_keys[record], .big), .record = @intCast(record) };
    }
    std.sort.pdq(Placed, placed, {}, Placed.before);
    var found: u32 = 0;
    var begin: usize = 0;
    while (begin < placed.len) {
        var end = begin;
        var asked = false;
        while (end < placed.len and placed[end].key == placed[begin].key) : (end += 1) {
            asked = asked or self.verdicts[placed[end].record] == @intFromEnum(Verdict.ask);
        }
        for (placed[begin..end]) |each| {
            self.subjects[each.record] = if (asked) none else found;
            if (asked) self.verdicts[each.record] = @intFromEnum(Verdict.ask);
        }
        if (!asked) {
            std.mem.writeInt(u128, &self.keys[found], placed[begin].key, .big);
            found += 1;
        }
        begin = end;
    }
    return found;
}

/// What a lane keeps of a subject (broker/routing/lane_state.py): these two numbers, and then its values in the form of
/// `marshal`, version 2: a tuple of bytes. None where it was deleted.
const Kept = extern struct { at: i64, offset: i64 };

const tuple_head = 5;
const bytes_head = 5;

pub const Past = extern struct {
    admission: *const Admission,
    subjects: [*]const u32,
    offsets: [*]const i64,
    /// The kind of a deletion.
    ended: u32,
    /// Slots whose bytes are the values that are kept, and which of these decisions look at.
    selected_count: u32,
    selected: [*]const u32,
    asked: [*]const u32,
    now: i64,
    /// How far backfills came (broker/routing/backfill.py): who lies before an offset was told at that instant.
    next: i64,
    next_at: i64,
    whole: i64,
    whole_at: i64,
    /// Instants between which it makes no difference when a subject was told, sorted.
    instants: [*]const i64,
    instants_count: u64,
    subjects_count: u64,
    keys: [*]const bytes.Digest,
    /// What is kept of those that are known, in the order of the keys.
    found_count: u64,
    found_keys: [*]const bytes.Digest,
    entries: [*]const u8,
    entry_ends: [*]const u64,
    firsts: [*]const u32,
    combinations_count: u64,
    /// Out, per record: its group. A group has the values before (numbers from `combinations_count` on are those of the
    /// entries that `former` tells), when they were told, the values after, the kind, and a number of records.
    groups: [*]u32,
    group_before: [*]u32,
    group_at: [*]i64,
    group_after: [*]u32,
    group_kind: [*]u8,
    group_records: [*]u32,
    former: [*]u32,
    /// Out, per subject: its last record, and what is to be kept of it but its values; with these, so many bytes.
    last: [*]u32,
    kept: [*]Kept,
    kept_bytes: u64,

    fn selectedSlots(self: *const Past) []const u32 {
        return self.selected[0..self.selected_count];
    }
};

const State = struct { values: u32 = none, at: i64 = 0 };
const Group = struct { before: u32, at: u32, after: u32, kind: u32 };

/// Returns the number of groups.
pub fn follow(self: *Past, gpa: std.mem.Allocator) !u64 {
    const states = try past(self, gpa);
    const batch = self.admission;
    var known: std.AutoHashMapUnmanaged(Group, u32) = .empty;
    for (0..@intCast(batch.records)) |record| {
        const verdict: Verdict = @enumFromInt(batch.verdicts[record]);
        if (verdict == .ask) {
            self.groups[record] = none;
            continue;
        }
        const subject = self.subjects[record];
        const state = &states[subject];
        const after = if (verdict == .value) batch.combinations[record] else none;
        const at: u32 = if (state.values == none) 0 else period(self, state.at);
        const kind = if (verdict == .value) batch.value(record)[kind_at] >> 1 else self.ended;
        const found = try known.getOrPut(gpa, .{ .before = state.values, .at = at, .after = after, .kind = kind });
        if (!found.found_existing) {
            const number = known.count() - 1;
            found.value_ptr.* = number;
            self.group_before[number] = state.values;
            self.group_at[number] = state.at;
            self.group_after[number] = after;
            self.group_kind[number] = @intCast(kind);
            self.group_records[number] = 0;
        }
        self.groups[record] = found.value_ptr.*;
        self.group_records[found.value_ptr.*] += 1;
        state.* = .{ .values = after, .at = self.now };
        const kept = &self.kept[subject];
        kept.offset = self.offsets[record];
        if (verdict == .value) kept.at = @max(kept.at, self.now);
        self.last[subject] = @intCast(record);
    }
    self.kept_bytes = 0;
    for (0..@intCast(self.subjects_count)) |subject| {
        self.kept_bytes += @sizeOf(Kept) + tuple_head;
        if (!lives(self, subject)) continue;
        for (self.selectedSlots()) |number| self.kept_bytes += bytes_head + batch.slot(self.last[subject], number).len;
    }
    return known.count();
}

/// What is to be kept of every subject, one after the other; `ends` tells where each ends. Returns how many bytes that is.
pub fn keep(self: *const Keeping, _: std.mem.Allocator) !u64 {
    const on = self.past;
    var writer: bytes.Writer = .{ .room = self.room[0..@intCast(on.kept_bytes)] };
    for (0..@intCast(on.subjects_count)) |subject| {
        writer.bytes(std.mem.asBytes(&on.kept[subject]));
        if (lives(on, subject)) {
            writer.byte('(');
            writer.bytes(std.mem.asBytes(&std.mem.nativeToLittle(u32, on.selected_count)));
            for (on.selectedSlots()) |number| {
                const value = on.admission.slot(on.last[subject], number);
                writer.byte('s');
                writer.bytes(std.mem.asBytes(&std.mem.nativeToLittle(u32, @intCast(value.len))));
                writer.bytes(value);
            }
        }
        self.ends[subject] = writer.at;
    }
    return writer.at;
}

pub const Keeping = extern struct { past: *const Past, room: [*]u8, ends: [*]u64 };

fn lives(self: *const Past, subject: usize) bool {
    return self.admission.verdicts[self.last[subject]] == @intFromEnum(Verdict.value);
}

/// The subjects' states before the batch; `kept` begins with the instants that are kept of them.
fn past(self: *Past, gpa: std.mem.Allocator) ![]State {
    var numbers: std.StringHashMapUnmanaged(u32) = .empty;
    const combinations: u32 = @intCast(self.combinations_count);
    const asked = self.asked[0..@intCast(self.admission.asked_count)];
    var view: std.ArrayList(u8) = .empty;
    for (0..combinations) |number| {
        view.clearRetainingCapacity();
        for (asked) |place| try part(&view, gpa, self.admission.slot(self.firsts[number], self.selected[place]));
        try numbers.putNoClobber(gpa, try gpa.dupe(u8, view.items), @intCast(number));
    }
    const values = try gpa.alloc([]const u8, self.selected_count);
    const states = try gpa.alloc(State, @intCast(self.subjects_count));
    var next: usize = 0;
    for (states, 0..) |*state, subject| {
        state.* = .{};
        self.kept[subject] = .{ .at = 0, .offset = -1 };
        if (next >= self.found_count or !std.mem.eql(u8, &self.found_keys[next], &self.keys[subject])) continue;
        const entry = stretch(self.entries, self.entry_ends, next);
        next += 1;
        const held = std.mem.bytesToValue(Kept, entry[0..@sizeOf(Kept)]);
        self.kept[subject].at = held.at;
        if (entry.len == @sizeOf(Kept)) continue;
        try unmarshalled(entry[@sizeOf(Kept)..], values);
        view.clearRetainingCapacity();
        for (asked) |place| try part(&view, gpa, values[place]);
        const found = try numbers.getOrPut(gpa, view.items);
        if (!found.found_existing) {
            found.key_ptr.* = try gpa.dupe(u8, view.items);
            found.value_ptr.* = numbers.count() - 1;
            self.former[found.value_ptr.* - combinations] = @intCast(next - 1);
        }
        const told = if (held.offset < self.next) self.next_at else if (held.offset < self.whole) self.whole_at else 0;
        state.* = .{ .values = found.value_ptr.*, .at = @max(held.at, told) };
    }
    return states;
}

fn part(view: *std.ArrayList(u8), gpa: std.mem.Allocator, value: []const u8) !void {
    try view.appendSlice(gpa, std.mem.asBytes(&value.len));
    try view.appendSlice(gpa, value);
}

fn unmarshalled(entry: []const u8, values: [][]const u8) !void {
    if (entry[0] != '(' or std.mem.readInt(u32, entry[1..5], .little) != values.len) return error.Unsure;
    var left = entry[tuple_head..];
    for (values) |*value| {
        if (left[0] != 's') return error.Unsure;
        const size = std.mem.readInt(u32, left[1..5], .little);
        value.* = left[bytes_head..][0..size];
        left = left[bytes_head + size ..];
    }
}

fn period(self: *const Past, at: i64) u32 {
    var low: usize = 0;
    var high: usize = @intCast(self.instants_count);
    while (low < high) {
        const middle = low + (high - low) / 2;
        if (self.instants[middle] <= at) low = middle + 1 else high = middle;
    }
    return @intCast(low);
}

fn stretch(joined: [*]const u8, ends: [*]const u64, number: usize) []const u8 {
    const begin = if (number == 0) 0 else ends[number - 1];
    return joined[@intCast(begin)..@intCast(ends[number])];
}
