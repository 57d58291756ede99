//! Working memory, one buffer a worker, had before a kernel's first write: running out of memory
//! leaves outputs untouched.
//!
//! A buffer is reserved by the caller and filled with zeros by the worker that first locks it: its
//! pages then lie near that worker's core, and a worker that gets no tile touches none.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::Error;

/// Buffers start on a cache line, which is also the widest vector.
const ALIGNMENT: usize = 64;

/// `length` zeros of `T` for each worker, on cache-line boundaries.
pub struct Scratch<T> {
    buffers: Vec<Mutex<Vec<T>>>,
    length: usize,
    padded: usize,
}

impl<T: Copy + Default> Scratch<T> {
    /// Reserves `length` elements for each of `workers` (see [`crate::threads::workers`]).
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] if they cannot be had.
    pub fn new(workers: usize, length: usize) -> Result<Self, Error> {
        let out_of_memory = |elements: usize| Error::OutOfMemory {
            bytes: elements.saturating_mul(size_of::<T>()),
        };
        let padding = if length == 0 {
            0
        } else {
            ALIGNMENT / size_of::<T>().max(1)
        };
        let padded = length
            .checked_add(padding)
            .ok_or_else(|| out_of_memory(length))?;
        let mut buffers = Vec::new();
        buffers
            .try_reserve_exact(workers)
            .map_err(|_| out_of_memory(workers.saturating_mul(padded)))?;
        for _ in 0..workers {
            let mut buffer = Vec::new();
            buffer
                .try_reserve_exact(padded)
                .map_err(|_| out_of_memory(workers.saturating_mul(padded)))?;
            buffers.push(Mutex::new(buffer));
        }
        Ok(Self {
            buffers,
            length,
            padded,
        })
    }

    /// The buffer of `worker`: zeros at the first time, later what was left in it.
    ///
    /// Each worker has its own, so this never waits.
    ///
    /// # Panics
    /// If there is no such worker.
    pub fn lock(&self, worker: usize) -> Buffer<'_, T> {
        // A tile that panicked ends the whole run; what it left behind is as good as any.
        let mut elements = self.buffers[worker]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Within what was reserved: no allocation, so the buffer does not move.
        elements.resize(self.padded, T::default());
        let start = match elements.as_ptr().align_offset(ALIGNMENT) {
            // Miri may refuse to align, and a zero-sized type cannot be.
            offset if offset <= self.padded - self.length => offset,
            _ => 0,
        };
        Buffer {
            elements,
            start,
            length: self.length,
        }
    }
}

/// A worker's buffer while it is locked: derefs to its elements.
pub struct Buffer<'s, T> {
    elements: MutexGuard<'s, Vec<T>>,
    start: usize,
    length: usize,
}

impl<T> Deref for Buffer<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.elements[self.start..self.start + self.length]
    }
}

impl<T> DerefMut for Buffer<'_, T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.elements[self.start..self.start + self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_worker_has_its_own_aligned_zeros() {
        let scratch = Scratch::<f32>::new(3, 101).expect("small");
        let mut guards: Vec<_> = (0..3).map(|worker| scratch.lock(worker)).collect();
        for (worker, buffer) in guards.iter_mut().enumerate() {
            assert_eq!(buffer.len(), 101);
            assert!(buffer.iter().all(|&x| x == 0.0));
            if !cfg!(miri) {
                assert_eq!(buffer.as_ptr() as usize % ALIGNMENT, 0);
            }
            buffer.fill(worker as f32);
        }
        assert!(
            guards
                .iter()
                .enumerate()
                .all(|(w, b)| b.iter().all(|&x| x == w as f32))
        );
    }

    #[test]
    fn a_buffer_keeps_its_place_and_content_between_locks() {
        let scratch = Scratch::<f64>::new(1, 8).expect("small");
        let place = {
            let mut buffer = scratch.lock(0);
            buffer[7] = 3.0;
            buffer.as_ptr()
        };
        let buffer = scratch.lock(0);
        assert_eq!((buffer.as_ptr(), buffer[7]), (place, 3.0));
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri ends the process where an allocator would say no")]
    fn too_much_is_an_error_and_no_abort() {
        for length in [
            usize::MAX,
            isize::MAX as usize,
            isize::MAX as usize / 8 - 16,
        ] {
            assert!(matches!(
                Scratch::<f64>::new(2, length),
                Err(Error::OutOfMemory { .. })
            ));
        }
        assert!(Scratch::<f64>::new(usize::MAX / 2, 1).is_err());
    }

    #[test]
    fn nothing_is_a_buffer_too() {
        assert!(Scratch::<f32>::new(1, 0).expect("empty").lock(0).is_empty());
    }
}
