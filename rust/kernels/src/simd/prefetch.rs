//! A hint that memory will be needed soon. Where a set has none, it is nothing.

/// Bytes that one hint fetches.
const LINE: usize = 64;

#[cfg(target_arch = "x86_64")]
fearless_simd::kernel!(
    #[inline(always)]
    fn hint(sse2: Sse2, address: *const i8) {
        core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(address);
    }
);

/// Asks for the cache lines of `slice`.
#[inline(always)]
pub fn prefetch<T>(slice: &[T]) {
    #[cfg(target_arch = "x86_64")]
    if let Some(sse2) = fearless_simd::Level::baseline().as_sse2() {
        let start = slice.as_ptr().cast::<i8>();
        for offset in (0..size_of_val(slice)).step_by(LINE) {
            hint(sse2, start.wrapping_add(offset));
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (slice, LINE);
}
