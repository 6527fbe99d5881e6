//! What the router does for a whole batch at once, as functions of joined bytes. broker/native/library.py calls them;
//! the router's path in Python is their twin, and says what is right where they differ.
//!
//! Each returns a number, or `failed`: there was no memory, or what it was given does not hold together.

const std = @import("std");
const admission = @import("admit.zig");
const following = @import("follow.zig");
const packing = @import("pack.zig");
const unpacking = @import("unpack.zig");

const failed = std.math.maxInt(u64);

export fn unpack(batch: *const unpacking.Unpacking) u64 {
    return done(unpacking.unpack, batch);
}

export fn admit(batch: *const admission.Admission) u64 {
    return done(admission.admit, batch);
}

export fn subjects(batch: *const following.Subjects) u64 {
    return done(following.subjects, batch);
}

export fn follow(batch: *following.Past) u64 {
    return done(following.follow, batch);
}

export fn keep(batch: *const following.Keeping) u64 {
    return done(following.keep, batch);
}

export fn bound(batch: *packing.Packing) u64 {
    return done(packing.bound, batch);
}

export fn pack(batch: *const packing.Packing) u64 {
    return done(packing.pack, batch);
}

/// With memory that lasts for the call.
fn done(comptime function: anytype, batch: anytype) u64 {
    var arena: std.heap.ArenaAllocator = .init(std.heap.page_allocator);
    defer arena.deinit();
    return function(batch, arena.allocator()) catch failed;
}
