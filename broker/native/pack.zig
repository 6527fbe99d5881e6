//! Deliveries and receipts of a batch, written as Kafka's records (format v2) into one room, by output.

const std = @import("std");
const bytes = @import("bytes.zig");
const Admission = @import("admit.zig").Admission;
const key_characters = @import("admit.zig").key_characters;
const trace_characters = @import("unpack.zig").trace_characters;
const wire_header_bytes = @import("admit.zig").wire_header_bytes;

const none = std.math.maxInt(u32);
/// Room before the records of each batch, for its header.
const batch_header_bytes = 61;
const hex_characters = 2 * bytes.digest_bytes;
/// A present optional text of 32 characters.
const pseudonym_bytes = 2 + hex_characters;
const most_long = 10;

/// A stretch of `Packing.constants`, which outlast batches, or of what `Packing.batch` has for one.
const Constant = extern struct {
    at: u32,
    size: u32,

    fn of(self: Constant, constants: [*]const u8) []const u8 {
        return constants[self.at..][0..self.size];
    }
};

/// A pseudonym of the text in a slot; `nullable` if that has a branch byte, `optional` if it may be absent at all.
const Pseudonym = extern struct { slot: u32, nullable: u32, optional: u32, key: [32]u8 };

/// What one decision makes of a record, under one agreement version.
const Recipe = extern struct {
    key: [32]u8,
    frame: [8]u8,
    /// None where it delivers nothing, or not from here.
    output: u32,
    released: u32,
    valueless: u32,
    spans: u32,
    spans_count: u32,
    pseudonyms: u32,
    pseudonyms_count: u32,
    /// Headers that do not depend on the record, with the count of all before them, and the last of them.
    head: Constant,
    tail: Constant,
    /// The receipt's leaf, whole or, of a release, all of it but the delivery id.
    leaf: Constant,
};

const Chunk = extern struct { output: u32, records: u32, begin: u64, end: u64 };

pub const Packing = extern struct {
    admission: *const Admission,
    offsets: [*]const i64,
    /// Of a `traceparent` or what stands for none.
    traces: [*]const [trace_characters]u8,
    groups: [*]const u32,
    /// By group where its recipes end in `recipe_of`.
    recipe_ends: [*]const u32,
    recipe_of: [*]const u32,
    recipes: [*]const Recipe,
    recipes_count: u64,
    spans: [*]const [2]u32,
    pseudonyms: [*]const Pseudonym,
    pseudonyms_count: u64,
    constants: [*]const u8,
    batch: [*]const u8,
    /// Headers whose values differ by record or batch: of "ce_id" and "traceparent" all before the value.
    id_header: Constant,
    time_header: Constant,
    trace_header: Constant,
    /// Of a delivery's coordinates what is before and behind the offset.
    place_head: Constant,
    place_tail: Constant,
    receipt_head: Constant,
    k_ledger: [32]u8,
    /// The first output is that of receipts.
    outputs_count: u64,
    most_batch: u64,
    room: [*]u8,
    room_bytes: u64,
    chunks: [*]Chunk,
    chunks_count: u64,
};

/// An agreement may have so many pseudonyms.
const most_pseudonyms = 16;

/// An encoded pseudonym.
const Made = struct {
    room: [pseudonym_bytes]u8,
    size: usize,

    fn of(raw: []const u8, derived: Pseudonym, hasher: *const bytes.Hasher) Made {
        var made: Made = .{ .room = undefined, .size = 0 };
        var writer: bytes.Writer = .{ .room = &made.room };
        if (bytes.content(raw, derived.nullable != 0)) |text| {
            if (derived.optional != 0) writer.byte(2);
            writer.long(hex_characters);
            writer.bytes(&bytes.hex(hasher.hash(text)));
        } else writer.byte(0);
        made.size = writer.at;
        return made;
    }

    fn encoded(self: *const Made) []const u8 {
        return self.room[0..self.size];
    }
};

/// Trace id of a `traceparent` (W3C Trace Context level 1); zeros where it is none.
fn trace(told: *const [trace_characters]u8) bytes.Digest {
    var id: bytes.Digest = @splat(0);
    var span: [8]u8 = undefined;
    var flags: [1]u8 = undefined;
    const framed = std.mem.eql(u8, told[0..3], "00-") and told[35] == '-' and told[52] == '-';
    if (!framed or !bytes.unhex(told[36..52], &span) or !bytes.unhex(told[53..55], &flags)) return id;
    if (!bytes.unhex(told[3..35], &id)) id = @splat(0);
    return id;
}

const Sealed = struct { identify: bytes.Hasher, rename: bytes.Hasher };

/// One output's part of the room, batch after batch.
const Output = struct {
    writer: bytes.Writer,
    begin: usize,
    /// Where in it the present batch begins, and how many records that has.
    batch: usize = 0,
    records: u32 = 0,
};

/// Bytes that `pack` needs at most, with the most chunks it makes in `chunks_count`.
pub fn bound(self: *Packing, gpa: std.mem.Allocator) !u64 {
    const outputs = try bounds(self, gpa);
    var total: u64 = 0;
    self.chunks_count = 0;
    for (outputs) |size| {
        total += size;
        self.chunks_count += batches(self, size);
    }
    return total;
}

fn batches(self: *const Packing, size: u64) u64 {
    return 1 + 2 * size / self.most_batch;
}

fn bounds(self: *const Packing, gpa: std.mem.Allocator) ![]u64 {
    const outputs = try gpa.alloc(u64, @intCast(self.outputs_count));
    @memset(outputs, 0);
    const receipts = &outputs[0];
    for (0..@intCast(self.admission.records)) |record| {
        const list = recipesOf(self, record);
        if (list.len == 0) continue;
        var receipt: usize = self.receipt_head.size + key_characters + 2 * bytes.digest_bytes + 6 * most_long;
        for (list) |number| {
            const recipe = &self.recipes[number];
            receipt += recipe.leaf.size + bytes.digest_bytes;
            if (recipe.output == none) continue;
            outputs[recipe.output] += self.admission.value(record).len + @as(usize, recipe.pseudonyms_count) * pseudonym_bytes +
                wire_header_bytes + key_characters + recipe.head.size + recipe.tail.size + self.id_header.size +
                self.time_header.size + self.trace_header.size + hex_characters + trace_characters + 6 * most_long;
        }
        receipts.* += receipt;
    }
    for (outputs) |*size| {
        if (size.* > 0) size.* += batch_header_bytes * batches(self, size.*);
    }
    return outputs;
}

/// Returns the number of chunks: batches, in their order within each output, without what is in their headers.
pub fn pack(self: *const Packing, gpa: std.mem.Allocator) !u64 {
    const outputs = try gpa.alloc(Output, @intCast(self.outputs_count));
    var begin: usize = 0;
    for (outputs, try bounds(self, gpa)) |*output, size| {
        const room = self.room[begin..@intCast(self.room_bytes)][0..@intCast(size)];
        output.* = .{ .writer = .{ .room = room }, .begin = begin };
        begin += room.len;
    }
    const sealed = try gpa.alloc(Sealed, @intCast(self.recipes_count));
    for (sealed, 0..) |*each, number| {
        const key = &self.recipes[number].key;
        each.* = .{ .identify = .init(key, "delivery-id"), .rename = .init(key, "delivery-key") };
    }
    const pseudonyms = try gpa.alloc(bytes.Hasher, @intCast(self.pseudonyms_count));
    for (pseudonyms, 0..) |*each, number| each.* = .init(&self.pseudonyms[number].key, "pseudonym");
    var run: Run = .{
        .on = self,
        .outputs = outputs,
        .sealed = sealed,
        .pseudonyms = pseudonyms,
        .refer = .init(&self.k_ledger, "ledger"),
        .leaves = try gpa.alloc(u8, 1 << 16),
        .gpa = gpa,
    };
    for (0..@intCast(self.admission.records)) |record| {
        const list = recipesOf(self, record);
        if (list.len > 0) try run.record(record, list);
    }
    for (0..outputs.len) |number| run.end(number);
    return run.chunks;
}

const Run = struct {
    on: *const Packing,
    outputs: []Output,
    sealed: []const Sealed,
    pseudonyms: []const bytes.Hasher,
    refer: bytes.Hasher,
    leaves: []u8,
    gpa: std.mem.Allocator,
    chunks: u64 = 0,
    /// Of the delivery at hand.
    made: [most_pseudonyms]Made = undefined,

    fn record(self: *Run, number: usize, list: []const u32) !void {
        const on = self.on;
        const key = on.admission.keys[number * key_characters ..][0..key_characters];
        var place: [512]u8 = undefined;
        const head = on.place_head.of(on.batch);
        const tail = on.place_tail.of(on.batch);
        const coordinates = try std.fmt.bufPrint(&place, "{s}{d}{s}", .{ head, on.offsets[number], tail });
        var needed: usize = 0;
        for (list) |each| needed += on.recipes[each].leaf.size + bytes.digest_bytes;
        if (needed > self.leaves.len) self.leaves = try self.gpa.alloc(u8, 2 * needed);
        var leaves: bytes.Writer = .{ .room = self.leaves };
        for (list) |each| {
            const recipe = &on.recipes[each];
            leaves.bytes(recipe.leaf.of(on.constants));
            if (recipe.released == 0) continue;
            const sealed = &self.sealed[each];
            const id = sealed.identify.hash(coordinates);
            leaves.bytes(&id);
            if (recipe.output != none) self.deliver(number, recipe, key, id, sealed);
        }
        self.receipt(number, key, list.len, leaves.room[0..leaves.at]);
    }

    fn deliver(self: *Run, number: usize, recipe: *const Recipe, key: []const u8, id: bytes.Digest, sealed: *const Sealed) void {
        const on = self.on;
        const value = on.admission.value(number);
        const cuts = on.admission.cuts(number);
        const spans = on.spans[recipe.spans..][0..recipe.spans_count];
        const derived = on.pseudonyms[recipe.pseudonyms..][0..recipe.pseudonyms_count];
        var size: usize = wire_header_bytes;
        if (recipe.valueless == 0) {
            for (spans) |span| size += cuts[span[1]] - cuts[span[0]];
            for (derived, 0..) |each, place| {
                const raw = value[cuts[each.slot]..cuts[each.slot + 1]];
                self.made[place] = .of(raw, each, &self.pseudonyms[recipe.pseudonyms + place]);
                size += self.made[place].size;
            }
        }
        const hexed = bytes.hex(id);
        const headers = recipe.head.size + on.id_header.size + hex_characters + on.time_header.size + on.trace_header.size +
            55 + recipe.tail.size;
        const valued: i64 = if (recipe.valueless == 0) @intCast(size) else -1;
        const writer = self.begin(recipe.output, valued, headers);
        writer.bytes(&bytes.hex(sealed.rename.hash(key)));
        writer.long(valued);
        if (recipe.valueless == 0) {
            writer.bytes(recipe.frame[0..wire_header_bytes]);
            for (spans) |span| writer.bytes(value[cuts[span[0]]..cuts[span[1]]]);
            for (self.made[0..derived.len]) |*each| writer.bytes(each.encoded());
        }
        writer.bytes(recipe.head.of(on.constants));
        writer.bytes(on.id_header.of(on.batch));
        writer.bytes(&hexed);
        writer.bytes(on.time_header.of(on.batch));
        writer.bytes(on.trace_header.of(on.batch));
        writer.bytes("00-");
        writer.bytes(&hexed);
        writer.byte('-');
        writer.bytes(hexed[0..16]);
        writer.bytes("-01");
        writer.bytes(recipe.tail.of(on.constants));
    }

    fn receipt(self: *Run, number: usize, key: []const u8, leaves_count: usize, leaves: []const u8) void {
        const on = self.on;
        const reference = self.refer.hash(key);
        const head = on.receipt_head.of(on.batch);
        const offset = on.offsets[number];
        const count: i64 = @intCast(leaves_count);
        const size = head.len + bytes.longSize(offset) + 2 * bytes.digest_bytes + bytes.longSize(count) + leaves.len + 1;
        const writer = self.begin(0, @intCast(size), 1);
        writer.bytes(&bytes.hex(reference));
        writer.long(@intCast(size));
        writer.bytes(head);
        writer.long(offset);
        writer.bytes(&reference);
        writer.bytes(&trace(&on.traces[number]));
        writer.long(count);
        writer.bytes(leaves);
        writer.byte(0);
        writer.byte(0); // no headers
    }

    /// Begins a record with a key of 32 characters: all that is before the key.
    fn begin(self: *Run, number: u32, valued: i64, headers: usize) *bytes.Writer {
        const output = &self.outputs[number];
        const value_bytes: usize = if (valued < 0) 0 else @intCast(valued);
        const key_bytes = 1 + key_characters;
        const after = 2 + key_bytes + bytes.longSize(valued) + value_bytes + headers;
        const most: usize = @intCast(self.on.most_batch);
        if (output.records > 0 and output.writer.at - output.batch + after + 2 * most_long > most) self.end(number);
        if (output.records == 0) output.writer.at += batch_header_bytes;
        const place: i64 = output.records;
        output.records += 1;
        const writer = &output.writer;
        writer.long(@intCast(after + bytes.longSize(place)));
        writer.byte(0); // attributes
        writer.byte(0); // timestamp, counted from the batch's
        writer.long(place);
        writer.long(key_characters);
        return writer;
    }

    fn end(self: *Run, number: usize) void {
        const output = &self.outputs[number];
        if (output.records == 0) return;
        self.on.chunks[@intCast(self.chunks)] = .{
            .output = @intCast(number),
            .records = output.records,
            .begin = output.begin + output.batch,
            .end = output.begin + output.writer.at,
        };
        self.chunks += 1;
        output.batch = output.writer.at;
        output.records = 0;
    }
};

fn recipesOf(self: *const Packing, record: usize) []const u32 {
    const group = self.groups[record];
    if (group == none) return &.{};
    const begin = if (group == 0) 0 else self.recipe_ends[group - 1];
    return self.recipe_of[begin..self.recipe_ends[group]];
}
