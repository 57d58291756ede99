//! A pointer, a shape and strides that were checked once: the only way to touch a caller's memory.
//!
//! A [`View`] reads, a [`ViewMut`] writes. Construction proves that every index within the shape
//! stays within the memory (strides may be zero or negative, axes may be empty) and that no size
//! can overflow; afterwards a row is one multiplication, one addition and one comparison away.
//!
//! Writing from many threads: [`ViewMut::split_rows`] cuts the rows into tiles and hands each out
//! once, as a [`Rows`]. Construction refused any layout in which two elements may share memory,
//! so two tiles cannot either, and kernels need no `unsafe`.
//!
//! What is guaranteed: no access outside the memory that the view was made of; no two `&mut` to
//! one element; no writing through a `View`. What is not: that memory which came in through
//! [`View::from_raw`] stays still. NumPy lets another Python thread write to an input during a
//! call; such a call gives garbage (Rust calls it a data race), as with NumPy's own functions.
//! The door keeps outputs apart from inputs, and Python's own `out=` of one call from another's is
//! the user's duty.
#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::Error;

mod layout;

pub use layout::MAX_RANK;
use layout::{Layout, RowAxes, check_bounds, contiguous_strides};

/// Checks what a pointer from outside must fulfil; an empty array's is never used.
fn checked_pointer<T>(first: *const T, empty: bool) -> Result<*const T, Error> {
    if empty {
        return Ok(NonNull::dangling().as_ptr());
    }
    if first.is_null() {
        return Err(Error::Layout {
            argument: "array",
            problem: "has no memory; pass a copy",
        });
    }
    if !first.is_aligned() {
        return Err(Error::Layout {
            argument: "array",
            problem: "is misaligned; pass a copy",
        });
    }
    Ok(first)
}

/// A read-only strided array of any rank up to 64.
#[derive(Clone, Copy)]
pub struct View<'a, T> {
    first: *const T,
    layout: Layout,
    memory: PhantomData<&'a [T]>,
}

// SAFETY: a View only hands out what a `&'a [T]` does.
unsafe impl<T: Sync> Send for View<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for View<'_, T> {}

impl<'a, T: Copy> View<'a, T> {
    /// All of `data` in C order.
    ///
    /// # Errors
    /// [`Error::Layout`] if `data` is shorter than the shape or there are more than 64 axes,
    /// [`Error::TooLarge`] if the shape's product overflows.
    pub fn contiguous(data: &'a [T], shape: &[usize]) -> Result<Self, Error> {
        Self::new(data, 0, shape, &contiguous_strides(shape)?[..shape.len()])
    }

    /// The array whose first element is `data[offset]`; strides count elements.
    ///
    /// # Errors
    /// [`Error::Layout`] if an index leads out of `data`, if the ranks of shape and strides differ
    /// or exceed 64; [`Error::TooLarge`] if a size overflows.
    pub fn new(
        data: &'a [T],
        offset: usize,
        shape: &[usize],
        strides: &[isize],
    ) -> Result<Self, Error> {
        let (layout, span) = Layout::new::<T>(shape, strides)?;
        check_bounds(data.len(), offset, &layout, &span)?;
        let first = checked_pointer(data.as_ptr().wrapping_add(offset), layout.empty)?;
        Ok(Self {
            first,
            layout,
            memory: PhantomData,
        })
    }

    /// The array whose first element `first` points to; strides count elements.
    ///
    /// # Errors
    /// [`Error::Layout`] if `first` is null or misaligned or the ranks of shape and strides differ
    /// or exceed 64, [`Error::TooLarge`] if a size overflows.
    ///
    /// # Safety
    /// For all of `'a`, every index within the shape must lead to an initialised `T` inside one
    /// allocation, and nothing may write to those elements (see the module's first lines).
    pub unsafe fn from_raw(
        first: *const T,
        shape: &[usize],
        strides: &[isize],
    ) -> Result<Self, Error> {
        let (layout, _) = Layout::new::<T>(shape, strides)?;
        let first = checked_pointer(first, layout.empty)?;
        Ok(Self {
            first,
            layout,
            memory: PhantomData,
        })
    }

    /// Length of each axis.
    #[inline]
    pub fn shape(&self) -> &[usize] {
        self.layout.shape()
    }

    /// Stride of each axis, in elements.
    #[inline]
    pub fn strides(&self) -> &[isize] {
        self.layout.strides()
    }

    /// Number of axes.
    #[inline]
    pub fn rank(&self) -> usize {
        self.layout.rank
    }

    /// Product of the first `count` axes' lengths, 1 for none.
    ///
    /// # Panics
    /// If there are fewer axes.
    pub fn lead(&self, count: usize) -> usize {
        self.layout.lead(count)
    }

    /// All elements, if they stand side by side in C order.
    pub fn as_slice(&self) -> Option<&'a [T]> {
        let count = self.layout.lead(self.layout.rank);
        // SAFETY: the elements that the constructor checked or was promised are these `count`.
        self.layout
            .is_contiguous()
            .then(|| unsafe { std::slice::from_raw_parts(self.first, count) })
    }

    /// The element at `index`.
    ///
    /// # Panics
    /// If `index` has another rank than the view or leads out of the shape.
    pub fn element(&self, index: &[usize]) -> T {
        assert_eq!(index.len(), self.layout.rank, "one index an axis");
        let mut offset = 0;
        for ((&i, &length), &stride) in index.iter().zip(self.shape()).zip(self.strides()) {
            assert!(
                i < length,
                "index {i} is outside an axis of length {length}"
            );
            offset += if length > 1 { i as isize * stride } else { 0 };
        }
        // SAFETY: each index is within its axis, so this is one of the elements that the
        // constructor checked or was promised.
        unsafe { self.first.offset(offset).read() }
    }

    /// The last two axes at the `flat_lead`-th index, in C order, of the axes before them.
    ///
    /// # Panics
    /// If the rank is below 2 or `flat_lead` is not below `lead(rank - 2)`.
    pub fn plane(&self, flat_lead: usize) -> Plane<'a, T> {
        let layout = &self.layout;
        assert!(layout.rank >= 2, "a plane needs two axes");
        let (rows, row_stride) = layout.axis_from_last(1);
        let (columns, column_stride) = layout.axis_from_last(0);
        let first = self.lead_pointer(layout.rank - 2, flat_lead);
        // Strides that are never stepped along are set to what keeps all later arithmetic inside.
        Plane {
            first,
            rows,
            columns,
            row_stride: if rows < 2 || columns == 0 {
                0
            } else {
                row_stride
            },
            column_stride: if columns < 2 { 1 } else { column_stride },
            memory: PhantomData,
        }
    }

    /// The last axis at the `flat_lead`-th index, in C order, of the axes before it.
    ///
    /// # Panics
    /// If the rank is 0 or `flat_lead` is not below `lead(rank - 1)`.
    pub fn line(&self, flat_lead: usize) -> Line<'a, T> {
        let layout = &self.layout;
        assert!(layout.rank >= 1, "a line needs an axis");
        let (length, stride) = layout.axis_from_last(0);
        let first = self.lead_pointer(layout.rank - 1, flat_lead);
        Line {
            first,
            length,
            stride,
            memory: PhantomData,
        }
    }

    /// Pointer to index 0 of the later axes at the `flat`-th index of the first `count`.
    fn lead_pointer(&self, count: usize, flat: usize) -> *const T {
        let lead = self.layout.lead(count);
        assert!(flat < lead, "leading index {flat} is outside {lead}");
        if self.layout.empty {
            return self.first;
        }
        // SAFETY: flat is within the leading axes and no axis is empty, so this is an element.
        unsafe { self.first.offset(self.layout.offset(count, flat)) }
    }
}

/// Two axes of a [`View`]: rows and columns.
#[derive(Clone, Copy)]
pub struct Plane<'a, T> {
    first: *const T,
    rows: usize,
    columns: usize,
    row_stride: isize,
    column_stride: isize,
    memory: PhantomData<&'a [T]>,
}

// SAFETY: a Plane only hands out what a `&'a [T]` does.
unsafe impl<T: Sync> Send for Plane<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Plane<'_, T> {}

impl<'a, T: Copy> Plane<'a, T> {
    /// Number of rows.
    #[inline(always)]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    #[inline(always)]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Elements from one row to the next; 0 where there is nothing to step to.
    #[inline(always)]
    pub fn row_stride(&self) -> isize {
        self.row_stride
    }

    /// Elements from one column to the next; 1 where there is nothing to step to.
    #[inline(always)]
    pub fn column_stride(&self) -> isize {
        self.column_stride
    }

    /// Whether each row is a slice: its elements stand side by side.
    #[inline(always)]
    pub fn row_is_unit(&self) -> bool {
        self.column_stride == 1
    }

    /// Row `i`.
    ///
    /// # Panics
    /// If there is no such row or a row is no slice.
    #[inline(always)]
    pub fn row(&self, i: usize) -> &'a [T] {
        if i >= self.rows || self.column_stride != 1 {
            self.no_row(i);
        }
        // SAFETY: i is a row, so its columns are elements that stand side by side; with no columns
        // the row stride is 0 and the pointer aligned and not null.
        unsafe {
            let row = self.first.offset(i as isize * self.row_stride);
            std::slice::from_raw_parts(row, self.columns)
        }
    }

    /// The element in row `i` and column `j`.
    ///
    /// # Panics
    /// If there is none.
    #[inline(always)]
    pub fn get(&self, i: usize, j: usize) -> T {
        if i >= self.rows || j >= self.columns {
            self.no_element(i, j);
        }
        // SAFETY: i is a row and j a column, so this is an element.
        unsafe {
            let offset = i as isize * self.row_stride + j as isize * self.column_stride;
            self.first.offset(offset).read()
        }
    }

    #[cold]
    #[inline(never)]
    fn no_row(&self, i: usize) -> ! {
        assert!(
            self.column_stride == 1,
            "a row of column stride {} is no slice",
            self.column_stride
        );
        panic!("row {i} is outside {} rows", self.rows)
    }

    #[cold]
    #[inline(never)]
    fn no_element(&self, i: usize, j: usize) -> ! {
        panic!(
            "element ({i}, {j}) is outside ({}, {})",
            self.rows, self.columns
        )
    }
}

/// One axis of a [`View`].
#[derive(Clone, Copy)]
pub struct Line<'a, T> {
    first: *const T,
    length: usize,
    stride: isize,
    memory: PhantomData<&'a [T]>,
}

// SAFETY: a Line only hands out what a `&'a [T]` does.
unsafe impl<T: Sync> Send for Line<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Line<'_, T> {}

impl<T: Copy> Line<'_, T> {
    /// Number of elements.
    #[inline(always)]
    #[expect(clippy::len_without_is_empty, reason = "a length, as an axis has it")]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Element `i`.
    ///
    /// # Panics
    /// If there is none.
    #[inline(always)]
    pub fn get(&self, i: usize) -> T {
        assert!(i < self.length, "element {i} is outside {}", self.length);
        // SAFETY: i is within the axis, so this is an element; at length 1 the index is 0.
        unsafe { self.first.offset(i as isize * self.stride).read() }
    }
}

/// A strided array that may be written to: no two indexes share memory.
pub struct ViewMut<'a, T> {
    first: *mut T,
    layout: Layout,
    memory: PhantomData<&'a mut [T]>,
}

// SAFETY: a ViewMut only hands out what a `&'a mut [T]` does.
unsafe impl<T: Send> Send for ViewMut<'_, T> {}
// SAFETY: a shared ViewMut gives no access to elements.
unsafe impl<T: Sync> Sync for ViewMut<'_, T> {}

impl<'a, T> ViewMut<'a, T> {
    /// All of `data` in C order.
    ///
    /// # Errors
    /// As [`View::contiguous`].
    pub fn contiguous(data: &'a mut [T], shape: &[usize]) -> Result<Self, Error> {
        Self::new(data, 0, shape, &contiguous_strides(shape)?[..shape.len()])
    }

    /// The array whose first element is `data[offset]`; strides count elements.
    ///
    /// # Errors
    /// As [`View::new`], and [`Error::Layout`] if two elements may share memory.
    pub fn new(
        data: &'a mut [T],
        offset: usize,
        shape: &[usize],
        strides: &[isize],
    ) -> Result<Self, Error> {
        let (layout, span) = Layout::new::<T>(shape, strides)?;
        check_bounds(data.len(), offset, &layout, &span)?;
        Self::checked(data.as_mut_ptr().wrapping_add(offset), layout)
    }

    /// The array whose first element `first` points to; strides count elements.
    ///
    /// # Errors
    /// As [`View::from_raw`], and [`Error::Layout`] if two elements may share memory.
    ///
    /// # Safety
    /// For all of `'a`, every index within the shape must lead to an initialised `T` inside one
    /// allocation, and nothing else may read or write those elements (see the module's first
    /// lines).
    pub unsafe fn from_raw(
        first: *mut T,
        shape: &[usize],
        strides: &[isize],
    ) -> Result<Self, Error> {
        let (layout, _) = Layout::new::<T>(shape, strides)?;
        Self::checked(first, layout)
    }

    fn checked(first: *mut T, layout: Layout) -> Result<Self, Error> {
        if layout.may_overlap() {
            return Err(Error::Layout {
                argument: "array",
                problem: "has elements that may share memory, as a broadcast has; pass a copy",
            });
        }
        let first = checked_pointer(first, layout.empty)?.cast_mut();
        Ok(Self {
            first,
            layout,
            memory: PhantomData,
        })
    }

    /// Length of each axis.
    #[inline]
    pub fn shape(&self) -> &[usize] {
        self.layout.shape()
    }

    /// Stride of each axis, in elements.
    #[inline]
    pub fn strides(&self) -> &[isize] {
        self.layout.strides()
    }

    /// Whether [`Self::into_slice`] gives a slice.
    pub fn is_contiguous(&self) -> bool {
        self.layout.is_contiguous()
    }

    /// All elements, if they stand side by side in C order.
    pub fn into_slice(self) -> Option<&'a mut [T]> {
        let count = self.layout.lead(self.layout.rank);
        // SAFETY: the elements that the constructor checked or was promised are these `count`, and
        // the view, which alone may write to them, is used up.
        self.layout
            .is_contiguous()
            .then(|| unsafe { std::slice::from_raw_parts_mut(self.first, count) })
    }

    /// Cuts the array into tiles of rows that different threads may write at once.
    ///
    /// The rows are all axes but the last, flattened in C order. They form groups of
    /// `rows_per_group`; each group is cut into tiles of `rows_per_tile`, the last of a group
    /// being shorter where that does not divide. Tile t is part t mod p of group t div p, with p =
    /// ⌈`rows_per_group` / `rows_per_tile`⌉.
    ///
    /// # Errors
    /// [`Error::Layout`] if there is no axis or the last has gaps, [`Error::Value`] if the groups
    /// do not divide the rows or a tile has none, [`Error::OutOfMemory`] if the tiles' flags (a
    /// byte each) cannot be had.
    pub fn split_rows(
        self,
        rows_per_group: usize,
        rows_per_tile: usize,
    ) -> Result<RowTiles<'a, T>, Error> {
        let layout = &self.layout;
        if layout.rank == 0 {
            return Err(Error::Layout {
                argument: "array",
                problem: "has no axis; add one",
            });
        }
        let (columns, column_stride) = layout.axis_from_last(0);
        if columns > 1 && column_stride != 1 {
            return Err(Error::Layout {
                argument: "array",
                problem: "has gaps along its last axis; pass a copy",
            });
        }
        let rows = layout.lead(layout.rank - 1);
        if rows_per_tile == 0 {
            return Err(Error::Value {
                argument: "rows_per_tile",
                given: "0".to_owned(),
                allowed: "at least 1",
            });
        }
        if rows > 0 && (rows_per_group == 0 || !rows.is_multiple_of(rows_per_group)) {
            return Err(Error::Value {
                argument: "rows_per_group",
                given: rows_per_group.to_string(),
                allowed: "a divisor of the number of rows",
            });
        }
        let tiles_per_group = rows_per_group.div_ceil(rows_per_tile);
        let tiles = if rows == 0 {
            0
        } else {
            rows / rows_per_group * tiles_per_group
        };
        let mut taken = Vec::new();
        taken
            .try_reserve_exact(tiles)
            .map_err(|_| Error::OutOfMemory { bytes: tiles })?;
        taken.resize_with(tiles, || AtomicBool::new(false));
        Ok(RowTiles {
            first: self.first,
            axes: RowAxes::new(layout),
            columns,
            rows_per_group,
            rows_per_tile,
            tiles_per_group,
            taken,
            memory: PhantomData,
        })
    }
}

/// An array's rows in tiles, each of which one thread can take, once.
pub struct RowTiles<'a, T> {
    first: *mut T,
    axes: RowAxes,
    columns: usize,
    rows_per_group: usize,
    rows_per_tile: usize,
    tiles_per_group: usize,
    taken: Vec<AtomicBool>,
    memory: PhantomData<&'a mut [T]>,
}

// SAFETY: it owns the right to write all rows, like a `&'a mut [T]`.
unsafe impl<T: Send> Send for RowTiles<'_, T> {}
// SAFETY: `take` gives each tile to one taker only, so threads that share it get disjoint rows.
unsafe impl<T: Send> Sync for RowTiles<'_, T> {}

impl<T> RowTiles<'_, T> {
    /// Number of tiles.
    pub fn tiles(&self) -> usize {
        self.taken.len()
    }

    /// The rows of `tile`.
    ///
    /// # Panics
    /// If there is no such tile or it was taken before.
    pub fn take(&self, tile: usize) -> Rows<'_, T> {
        let taken = self.taken[tile].swap(true, Ordering::Relaxed);
        assert!(!taken, "tile {tile} was taken before");
        let group = tile / self.tiles_per_group;
        let start = tile % self.tiles_per_group * self.rows_per_tile;
        let length = self.rows_per_tile.min(self.rows_per_group - start);
        let flat = group * self.rows_per_group + start;
        let (offset, run) = self.axes.locate(flat);
        Rows {
            // SAFETY: the offset is that of a row; without columns all strides are 0.
            start: unsafe { self.first.offset(offset) },
            stride: self.axes.row_stride(),
            run: run.min(length),
            length,
            flat,
            tiles: self,
        }
    }
}

/// The rows of one tile.
pub struct Rows<'t, T> {
    start: *mut T,
    stride: isize,
    /// Rows that stand one stride apart from the start; later ones are looked up.
    run: usize,
    length: usize,
    flat: usize,
    tiles: &'t RowTiles<'t, T>,
}

// SAFETY: these rows are this tile's alone, like a `&mut [T]`.
unsafe impl<T: Send> Send for Rows<'_, T> {}

impl<T> Rows<'_, T> {
    /// Number of rows.
    #[inline(always)]
    #[expect(clippy::len_without_is_empty, reason = "a tile has at least one row")]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Flat index, over the whole array, of the first row.
    #[inline(always)]
    pub fn first(&self) -> usize {
        self.flat
    }

    /// Row `r` of this tile.
    ///
    /// # Panics
    /// If there is none.
    #[inline(always)]
    pub fn row(&mut self, r: usize) -> &mut [T] {
        let row = if r < self.run {
            // SAFETY: the first `run` rows of the tile stand `stride` apart.
            unsafe { self.start.offset(r as isize * self.stride) }
        } else {
            self.row_beyond(r)
        };
        // SAFETY: a row's elements stand side by side; no other row shares memory with it, only
        // this tile may hand it out, and `&mut self` keeps it from doing so twice at once.
        unsafe { std::slice::from_raw_parts_mut(row, self.tiles.columns) }
    }

    #[cold]
    #[inline(never)]
    fn row_beyond(&self, r: usize) -> *mut T {
        assert!(r < self.length, "row {r} is outside {} rows", self.length);
        let (offset, _) = self.tiles.axes.locate(self.flat + r);
        // SAFETY: the offset is that of a row.
        unsafe { self.tiles.first.offset(offset) }
    }
}

#[cfg(test)]
mod tests;
