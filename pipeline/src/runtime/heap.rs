//! The memory that a QuickJS machine lives in: one address range per worker thread, and images of it.
//!
//! Everything QuickJS allocates on a thread comes out of one `Region`. Between two slices a machine holds no pointer into
//! any other memory that changes, so the bytes of the region *are* the machine: copying them out parks a sandbox, copying
//! them back to the same addresses continues it, and copying a prepared image (the template: runtime, context, prelude)
//! starts a fresh one without running a line of set-up. An image keeps only the pieces that differ from the template.
//!
//! Layout, from the base address:
//!
//! ```text
//! HeapHeader | block | block | … | top            … limit (never passed)
//! block = 16-byte header with its capacity, then the payload, 16-byte aligned
//! ```
//!
//! QuickJS carves small objects out of its own 4 KiB arenas, so this allocator sees arenas and large blocks only. Freed
//! blocks go to a list per size class; the block at the top gives its room back and grows in place.

#![allow(unsafe_code)] // The allocator behind a C interface and the copying of its raw memory.

use std::ffi::c_void;
use std::ptr;

use rquickjs::qjs;

/// Bytes kept as one piece of an image: a cache line, because most of what a sandbox changes in the template are
/// reference counts scattered over it.
const PIECE_BYTES: usize = 64;
/// Bytes compared at once when looking for changed pieces.
const STRIDE_BYTES: usize = 1024;
const ALIGN: usize = 16;
const BLOCK_HEADER_BYTES: usize = 16;
/// Size classes: steps of 64 bytes up to 8 KiB (QuickJS's arenas are of just under 4 KiB), then eight per doubling up to
/// the largest region.
const LINEAR_STEP_BYTES: usize = 64;
const LINEAR_MAX_BYTES: usize = 1 << LINEAR_DOUBLINGS;
const LINEAR_DOUBLINGS: usize = 13;
const LINEAR_CLASSES: usize = LINEAR_MAX_BYTES / LINEAR_STEP_BYTES;
const DOUBLINGS: usize = 27;
const CLASSES: usize = LINEAR_CLASSES + DOUBLINGS * 8;
/// A request may be served from a class up to this many above its own before new memory is taken.
const CLASS_SEARCH: usize = 4;
/// Region memory beyond the template that a finished sandbox may leave resident on its thread.
const RESIDENT_SLACK_BYTES: usize = 4 << 20;

#[repr(C)]
struct HeapHeader {
    top: usize,
    limit: usize,
    refused: u64,
    free: [*mut FreeBlock; CLASSES],
}

#[repr(C)]
struct FreeBlock {
    capacity: usize,
    next: *mut FreeBlock,
}

/// One reserved address range; memory is committed by the system as it is touched.
pub(crate) struct Region {
    base: *mut u8,
    len: usize,
    /// Highest `top` since the tail was last given back.
    touched: usize,
    /// The pieces of the template's part that differ from it; none if that is not known.
    changed: Option<Vec<u32>>,
}

/// What a machine looked like between two slices, as its difference from a template.
pub(crate) struct Image {
    /// Pieces of the template's part that differ from it, by their number.
    pieces: Vec<u32>,
    /// Those pieces, then everything above the template.
    bytes: Vec<u8>,
}

impl Image {
    /// Memory that this image holds.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() + self.pieces.len() * size_of::<u32>()
    }
}

/// The complete bytes of a region, a whole number of strides, from which others start.
pub(crate) struct Template {
    bytes: Vec<u8>,
}

impl Template {
    fn piece(&self, number: u32) -> &[u8] {
        let at = number as usize * PIECE_BYTES;
        &self.bytes[at..at + PIECE_BYTES]
    }
}

impl Region {
    /// Reserves `len` bytes of address space, with an empty heap in it that refuses to grow beyond them.
    pub(crate) fn reserve(len: usize) -> std::io::Result<Self> {
        // SAFETY: an anonymous private mapping at an address of the system's choice touches nothing that exists.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error());
        }
        let region = Self { base: base.cast(), len, touched: 0, changed: None };
        // SAFETY: the mapping is zeroed, page-aligned and larger than the header.
        unsafe {
            let header = region.header();
            (*header).top = first_block();
            (*header).limit = len;
        }
        Ok(region)
    }

    fn header(&self) -> *mut HeapHeader {
        self.base.cast()
    }

    /// The pointer to give to QuickJS as the allocator's opaque value.
    pub(crate) fn opaque(&self) -> *mut c_void {
        self.base.cast()
    }

    /// Bytes in use, up to the highest block.
    pub(crate) fn top(&self) -> usize {
        // SAFETY: the header is initialised by `reserve` and by every image.
        unsafe { (*self.header()).top }
    }

    /// How many allocations have been refused for want of room in the region.
    pub(crate) fn refused(&self) -> u64 {
        // SAFETY: as in `top`.
        unsafe { (*self.header()).refused }
    }

    fn bytes(&self, from: usize, to: usize) -> &[u8] {
        debug_assert!(from <= to && to <= self.len);
        // SAFETY: inside the mapping; QuickJS does not run while a shared borrow of the region exists.
        unsafe { std::slice::from_raw_parts(self.base.add(from), to - from) }
    }

    fn bytes_mut(&mut self, from: usize, to: usize) -> &mut [u8] {
        debug_assert!(from <= to && to <= self.len);
        // SAFETY: as in `bytes`, with the exclusive borrow.
        unsafe { std::slice::from_raw_parts_mut(self.base.add(from), to - from) }
    }

    /// Keeps the present contents as the image that others start from.
    pub(crate) fn template(&self) -> Template {
        let top = self.top().next_multiple_of(STRIDE_BYTES);
        // SAFETY: as in `top`; a few more bytes below the limit count as used.
        unsafe { (*self.header()).top = top };
        Template { bytes: self.bytes(0, top).to_vec() }
    }

    /// Starts afresh from `template`.
    pub(crate) fn reset(&mut self, template: &Template) {
        self.touched = self.touched.max(self.top());
        let keep = template.bytes.len() + RESIDENT_SLACK_BYTES;
        if self.touched > keep {
            self.give_back(keep);
        }
        match self.changed.take() {
            Some(pieces) => pieces.iter().for_each(|&piece| self.write_piece(piece, template.piece(piece))),
            None => self.bytes_mut(0, template.bytes.len()).copy_from_slice(&template.bytes),
        }
    }

    /// Keeps the present contents as their difference from `template`.
    pub(crate) fn save(&mut self, template: &Template) -> Image {
        let (shared, top) = (template.bytes.len(), self.top());
        let mut pieces = Vec::with_capacity(512);
        let strides = self.bytes(0, shared).chunks_exact(STRIDE_BYTES).zip(template.bytes.chunks_exact(STRIDE_BYTES));
        for (index, (now, then)) in strides.enumerate() {
            if now != then {
                let first = (index * (STRIDE_BYTES / PIECE_BYTES)) as u32;
                let both = now.chunks_exact(PIECE_BYTES).zip(then.chunks_exact(PIECE_BYTES));
                pieces.extend((first..).zip(both).filter(|(_, (now, then))| now != then).map(|(piece, _)| piece));
            }
        }
        let mut bytes = Vec::with_capacity(pieces.len() * PIECE_BYTES + top - shared);
        for &piece in &pieces {
            let at = piece as usize * PIECE_BYTES;
            bytes.extend_from_slice(self.bytes(at, at + PIECE_BYTES));
        }
        bytes.extend_from_slice(self.bytes(shared, top));
        self.changed = Some(pieces.clone());
        pieces.shrink_to_fit();
        Image { pieces, bytes }
    }

    /// Continues from `image`, which was saved from this region over the same template.
    pub(crate) fn load(&mut self, template: &Template, image: &Image) {
        self.reset(template);
        let (changed, tail) = image.bytes.split_at(image.pieces.len() * PIECE_BYTES);
        for (&piece, bytes) in image.pieces.iter().zip(changed.chunks_exact(PIECE_BYTES)) {
            self.write_piece(piece, bytes);
        }
        let shared = template.bytes.len();
        self.bytes_mut(shared, shared + tail.len()).copy_from_slice(tail);
    }

    fn write_piece(&mut self, piece: u32, bytes: &[u8]) {
        let at = piece as usize * PIECE_BYTES;
        self.bytes_mut(at, at + PIECE_BYTES).copy_from_slice(bytes);
    }

    /// Returns the memory above `keep` to the system; the addresses stay reserved.
    fn give_back(&mut self, keep: usize) {
        let page = 4096;
        let from = keep.next_multiple_of(page);
        let to = self.touched.next_multiple_of(page).min(self.len);
        if from < to {
            // SAFETY: page-aligned and inside the mapping; nothing above the template is live when `reset` is called.
            unsafe { libc::madvise(self.base.add(from).cast(), to - from, libc::MADV_DONTNEED) };
        }
        self.touched = 0;
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `reserve` and nothing refers to it any more.
        unsafe { libc::munmap(self.base.cast(), self.len) };
    }
}

/// The allocator that QuickJS calls; its opaque value is `Region::opaque`.
pub(crate) const ALLOCATOR: qjs::JSMallocFunctions = qjs::JSMallocFunctions {
    js_calloc: Some(heap_calloc),
    js_malloc: Some(heap_malloc),
    js_free: Some(heap_free),
    js_realloc: Some(heap_realloc),
    js_malloc_usable_size: Some(heap_usable_size),
};

const fn first_block() -> usize {
    size_of::<HeapHeader>().next_multiple_of(ALIGN)
}

/// The class that serves `bytes` (block header included), and the capacity of its blocks.
fn class_of(bytes: usize) -> (usize, usize) {
    if bytes <= LINEAR_MAX_BYTES {
        let class = bytes.div_ceil(LINEAR_STEP_BYTES).max(1);
        return (class - 1, class * LINEAR_STEP_BYTES);
    }
    let doubling = (usize::BITS - 1 - (bytes - 1).leading_zeros()) as usize; // 2^doubling < bytes <= 2^(doubling+1)
    let step = (1usize << doubling) / 8;
    let eighth = (bytes - (1 << doubling)).div_ceil(step);
    let class = LINEAR_CLASSES + (doubling - LINEAR_DOUBLINGS) * 8 + eighth - 1;
    (class, (1 << doubling) + eighth * step)
}

unsafe fn block_of(payload: *const c_void) -> *mut FreeBlock {
    unsafe { payload.cast_mut().cast::<u8>().sub(BLOCK_HEADER_BYTES).cast() }
}

unsafe extern "C" fn heap_malloc(opaque: *mut c_void, size: qjs::size_t) -> *mut c_void {
    let heap: *mut HeapHeader = opaque.cast();
    let Some(wanted) = (size as usize).checked_add(BLOCK_HEADER_BYTES) else { return ptr::null_mut() };
    unsafe {
        if wanted > (*heap).limit {
            (*heap).refused += 1;
            return ptr::null_mut();
        }
        let (class, capacity) = class_of(wanted);
        for list in class..(class + CLASS_SEARCH).min(CLASSES) {
            let block = (*heap).free[list];
            if !block.is_null() {
                (*heap).free[list] = (*block).next;
                return block.cast::<u8>().add(BLOCK_HEADER_BYTES).cast();
            }
        }
        let top = (*heap).top;
        if capacity > (*heap).limit - top {
            (*heap).refused += 1;
            return ptr::null_mut();
        }
        (*heap).top = top + capacity;
        let block: *mut FreeBlock = heap.cast::<u8>().add(top).cast();
        (*block).capacity = capacity;
        block.cast::<u8>().add(BLOCK_HEADER_BYTES).cast()
    }
}

unsafe extern "C" fn heap_calloc(opaque: *mut c_void, count: qjs::size_t, size: qjs::size_t) -> *mut c_void {
    let Some(bytes) = (count as usize).checked_mul(size as usize) else { return ptr::null_mut() };
    unsafe {
        let payload = heap_malloc(opaque, bytes as qjs::size_t);
        if !payload.is_null() {
            ptr::write_bytes(payload.cast::<u8>(), 0, bytes);
        }
        payload
    }
}

unsafe extern "C" fn heap_free(opaque: *mut c_void, payload: *mut c_void) {
    if payload.is_null() {
        return;
    }
    let heap: *mut HeapHeader = opaque.cast();
    unsafe {
        let block = block_of(payload);
        let capacity = (*block).capacity;
        if is_top(heap, block) {
            (*heap).top -= capacity;
            return;
        }
        let (class, _) = class_of(capacity);
        (*block).next = (*heap).free[class];
        (*heap).free[class] = block;
    }
}

unsafe fn is_top(heap: *mut HeapHeader, block: *mut FreeBlock) -> bool {
    unsafe { block.addr() + (*block).capacity == heap.addr() + (*heap).top }
}

unsafe extern "C" fn heap_realloc(opaque: *mut c_void, payload: *mut c_void, size: qjs::size_t) -> *mut c_void {
    if payload.is_null() {
        return unsafe { heap_malloc(opaque, size) };
    }
    let heap: *mut HeapHeader = opaque.cast();
    let Some(wanted) = (size as usize).checked_add(BLOCK_HEADER_BYTES) else { return ptr::null_mut() };
    unsafe {
        let block = block_of(payload);
        let capacity = (*block).capacity;
        if wanted <= capacity && wanted >= capacity / 4 {
            return payload;
        }
        if wanted > capacity && wanted <= (*heap).limit && is_top(heap, block) {
            let (_, larger) = class_of(wanted);
            if larger - capacity <= (*heap).limit - (*heap).top {
                (*heap).top += larger - capacity;
                (*block).capacity = larger;
                return payload;
            }
        }
        let moved = heap_malloc(opaque, size);
        if moved.is_null() {
            return if wanted <= capacity { payload } else { moved };
        }
        ptr::copy_nonoverlapping(
            payload.cast::<u8>(),
            moved.cast::<u8>(),
            (capacity - BLOCK_HEADER_BYTES).min(size as usize),
        );
        heap_free(opaque, payload);
        moved
    }
}

unsafe extern "C" fn heap_usable_size(payload: *const c_void) -> qjs::size_t {
    if payload.is_null() {
        return 0;
    }
    unsafe { ((*block_of(payload)).capacity - BLOCK_HEADER_BYTES) as qjs::size_t }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Property: a size class always holds the bytes it is chosen for, wastes at most an eighth above 8 KiB, and a block's
    /// capacity maps back to its own class.
    #[test]
    fn classes_fit_and_are_stable() {
        for bytes in (1..200_000).chain((17..30).flat_map(|n| [(1 << n) - 1, 1 << n, (1 << n) + 1])) {
            let (class, capacity) = class_of(bytes);
            assert!(capacity >= bytes, "{bytes}");
            assert!(class < CLASSES, "{bytes}");
            assert!(bytes <= LINEAR_MAX_BYTES || capacity - bytes <= bytes / 8, "{bytes} -> {capacity}");
            assert_eq!(class_of(capacity), (class, capacity), "{bytes}");
        }
    }

    /// Property: under random allocating, growing and freeing no two live blocks overlap, and a saved image restores
    /// every byte after the region was used for something else.
    #[test]
    fn random_use_and_images() {
        let mut region = Region::reserve(64 << 20).unwrap();
        let template = region.template();
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = move || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random as usize
        };
        let mut live: Vec<(*mut u8, usize, u8)> = Vec::new();
        for round in 0..20_000 {
            let tag = round as u8;
            let size = 1 + next() % [600, 5_000, 100_000][next() % 3];
            unsafe {
                match next() % 3 {
                    0 if !live.is_empty() => {
                        let (at, len, seen) = live.swap_remove(next() % live.len());
                        assert!((0..len).all(|i| *at.add(i) == seen));
                        heap_free(region.opaque(), at.cast());
                    }
                    1 if !live.is_empty() => {
                        let index = next() % live.len();
                        let (at, len, seen) = live[index];
                        let moved: *mut u8 = heap_realloc(region.opaque(), at.cast(), size as _).cast();
                        assert!((0..len.min(size)).all(|i| *moved.add(i) == seen));
                        ptr::write_bytes(moved, tag, size);
                        live[index] = (moved, size, tag);
                    }
                    _ if live.len() < 300 => {
                        let at: *mut u8 = heap_malloc(region.opaque(), size as _).cast();
                        assert!(!at.is_null() && at.addr().is_multiple_of(ALIGN));
                        ptr::write_bytes(at, tag, size);
                        live.push((at, size, tag));
                    }
                    _ => {}
                }
            }
        }
        let image = region.save(&template);
        region.reset(&template);
        unsafe { ptr::write_bytes(heap_malloc(region.opaque(), 1 << 20).cast::<u8>(), 0xee, 1 << 20) };
        region.load(&template, &image);
        for (at, len, seen) in live {
            assert!(unsafe { (0..len).all(|i| *at.add(i) == seen) });
        }
    }

    /// Property: a region refuses what does not fit, counts it, and still serves what does.
    #[test]
    fn a_full_region_refuses() {
        let region = Region::reserve(1 << 20).unwrap();
        unsafe {
            assert!(heap_malloc(region.opaque(), 2 << 20).is_null());
            assert!(heap_malloc(region.opaque(), qjs::size_t::MAX).is_null());
            assert!(!heap_malloc(region.opaque(), 1_000).is_null());
        }
        assert_eq!(region.refused(), 1);
    }
}
