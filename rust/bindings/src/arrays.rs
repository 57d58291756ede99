//! NumPy arrays as the kernels' checked views.
//!
//! An array is taken when its dtype is exactly the element type in native byte order, its first
//! element is aligned and its strides are whole elements; an output has to be writeable besides.
//! [`Lent`] keeps the byte ranges of all arrays of one call, and refuses an output whose range
//! meets that of any other array: a conservative test, which also refuses interleaved arrays.
//!
//! What is not guaranteed: while a kernel runs without the GIL, another Python thread may write
//! to an array that it reads, as with NumPy's own functions. The result is undefined then. An
//! array is not freed meanwhile, since the caller holds it, unless `resize(refcheck=False)` is asked
//! to.

#![allow(unsafe_code)]

use std::ffi::c_int;
use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::{self, NonNull};

use numfuse_kernels::Error;
use numfuse_kernels::view::{MAX_RANK, View, ViewMut};
use numpy::npyffi::{self, NPY_TYPES, NpyTypes, PY_ARRAY_API};
use numpy::{PyArrayDescrMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::prelude::*;

/// An element type and NumPy's numbers for it.
pub(crate) trait Element: Copy + Send + Sync + 'static {
    /// The dtypes with exactly this type's layout, the one for new arrays first.
    const TYPE_NUMBERS: &[NPY_TYPES];
    /// What is wrong with an array of any other dtype.
    const WRONG_DTYPE: &str;
}

impl Element for f32 {
    const TYPE_NUMBERS: &[NPY_TYPES] = &[NPY_TYPES::NPY_FLOAT];
    const WRONG_DTYPE: &str = "is not float32 in native byte order; cast it with astype";
}

impl Element for f64 {
    const TYPE_NUMBERS: &[NPY_TYPES] = &[NPY_TYPES::NPY_DOUBLE];
    const WRONG_DTYPE: &str = "is not float64 in native byte order; cast it with astype";
}

impl Element for u8 {
    const TYPE_NUMBERS: &[NPY_TYPES] = &[NPY_TYPES::NPY_UBYTE, NPY_TYPES::NPY_BOOL];
    const WRONG_DTYPE: &str = "is neither bool nor uint8; cast it with astype";
}

impl Element for u16 {
    const TYPE_NUMBERS: &[NPY_TYPES] = &[NPY_TYPES::NPY_USHORT];
    const WRONG_DTYPE: &str = "is not uint16 in native byte order; view the halves' bits as it";
}

impl Element for i64 {
    const TYPE_NUMBERS: &[NPY_TYPES] = if size_of::<std::ffi::c_long>() == 8 {
        &[NPY_TYPES::NPY_LONG, NPY_TYPES::NPY_LONGLONG]
    } else {
        &[NPY_TYPES::NPY_LONGLONG]
    };
    const WRONG_DTYPE: &str = "is not int64 in native byte order; cast it with astype";
}

/// The float types that kernels compute in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Float {
    /// float32.
    Single,
    /// float64.
    Double,
}

/// Evaluates `$body` with `$real` as the type that the argument `$array` is in.
macro_rules! by_float {
    ($array:ident, $real:ident => $body:expr) => {
        match $crate::arrays::Float::required(stringify!($array), $array)? {
            $crate::arrays::Float::Single => {
                type $real = f32;
                $body
            }
            $crate::arrays::Float::Double => {
                type $real = f64;
                $body
            }
        }
    };
}
pub(crate) use by_float;

impl Float {
    /// The compute type that `array` is in, if any.
    pub(crate) fn of(array: &Array<'_>) -> Option<Self> {
        if holds::<f32>(array) {
            Some(Self::Single)
        } else if holds::<f64>(array) {
            Some(Self::Double)
        } else {
            None
        }
    }

    /// The compute type that the argument `array` is in; any other is an error.
    pub(crate) fn required(argument: &'static str, array: &Array<'_>) -> Result<Self, Error> {
        Self::of(array).ok_or(Error::Layout {
            argument,
            problem: "is neither float32 nor float64; cast it to one of them with astype",
        })
    }
}

pub(crate) type Array<'py> = Bound<'py, PyUntypedArray>;

/// The arrays that one call has been lent so far.
#[derive(Default)]
pub(crate) struct Lent {
    inputs: Vec<Range<usize>>,
    outputs: Vec<Range<usize>>,
}

impl Lent {
    /// A view of `array`, to read.
    pub(crate) fn input<'a, T: Element>(
        &mut self,
        argument: &'static str,
        array: &'a Array<'_>,
    ) -> Result<View<'a, T>, Error> {
        if array.ndim() <= FEW {
            self.read(argument, &Memory::<T, FEW>::of(argument, array)?)
        } else {
            self.read(argument, &Memory::<T, MAX_RANK>::of(argument, array)?)
        }
    }

    /// Like [`Lent::input`], with an axis of one head put before a matrix.
    pub(crate) fn input_heads<'a, T: Element>(
        &mut self,
        argument: &'static str,
        array: &'a Array<'_>,
    ) -> Result<View<'a, T>, Error> {
        if array.ndim() == 2 {
            self.read(
                argument,
                &Memory::<T, FEW>::of(argument, array)?.with_heads(),
            )
        } else {
            self.input(argument, array)
        }
    }

    /// Like [`Lent::input`], for an argument that may be left out.
    pub(crate) fn optional<'a, T: Element>(
        &mut self,
        argument: &'static str,
        array: Option<&'a Array<'_>>,
    ) -> Result<Option<View<'a, T>>, Error> {
        array.map(|array| self.input(argument, array)).transpose()
    }

    /// Like [`Lent::input`], for an argument that is a list of arrays.
    pub(crate) fn inputs<'a, T: Element>(
        &mut self,
        argument: &'static str,
        arrays: &'a [Array<'_>],
    ) -> Result<Vec<View<'a, T>>, Error> {
        arrays
            .iter()
            .map(|array| self.input(argument, array))
            .collect()
    }

    /// A view of `array`, to write.
    pub(crate) fn output<'a, T: Element>(
        &mut self,
        argument: &'static str,
        array: &'a Array<'_>,
    ) -> Result<ViewMut<'a, T>, Error> {
        writeable(argument, array)?;
        if array.ndim() <= FEW {
            self.write(argument, &Memory::<T, FEW>::of(argument, array)?)
        } else {
            self.write(argument, &Memory::<T, MAX_RANK>::of(argument, array)?)
        }
    }

    /// Like [`Lent::output`], with an axis of one head put before a matrix.
    pub(crate) fn output_heads<'a, T: Element>(
        &mut self,
        argument: &'static str,
        array: &'a Array<'_>,
    ) -> Result<ViewMut<'a, T>, Error> {
        if array.ndim() == 2 {
            writeable(argument, array)?;
            self.write(
                argument,
                &Memory::<T, FEW>::of(argument, array)?.with_heads(),
            )
        } else {
            self.output(argument, array)
        }
    }

    fn read<'a, T: Element, const AXES: usize>(
        &mut self,
        argument: &'static str,
        memory: &Memory<'a, T, AXES>,
    ) -> Result<View<'a, T>, Error> {
        apart(argument, &memory.bytes, &self.outputs)?;
        self.inputs.push(memory.bytes.clone());
        // SAFETY: `Memory` says that every index is an element of memory that lives for 'a; no
        // output of this call overlaps it.
        unsafe { View::from_raw(memory.first, memory.shape(), memory.strides()) }
            .map_err(|error| error.named(argument))
    }

    fn write<'a, T: Element, const AXES: usize>(
        &mut self,
        argument: &'static str,
        memory: &Memory<'a, T, AXES>,
    ) -> Result<ViewMut<'a, T>, Error> {
        apart(argument, &memory.bytes, &self.outputs)?;
        apart(argument, &memory.bytes, &self.inputs)?;
        self.outputs.push(memory.bytes.clone());
        // SAFETY: as in `read`; the array is writeable, and no array of this call overlaps it.
        unsafe { ViewMut::from_raw(memory.first, memory.shape(), memory.strides()) }
            .map_err(|error| error.named(argument))
    }
}

/// Room for the axes of nearly every array: clearing and moving room for 64 would take longer than
/// the work on a small problem.
const FEW: usize = 8;

/// Where an array's elements lie: every index within the shape, times the strides, from `first`
/// on, is an aligned element of the array's memory, which its owner keeps for 'a.
struct Memory<'a, T, const AXES: usize> {
    /// Element at index 0, or any aligned address where there is no element.
    first: *mut T,
    rank: usize,
    shape: [usize; AXES],
    /// In elements; 0 along axes of length 1, whose strides mean nothing. An empty array has a unit
    /// stride along its last axis and 0 along the others.
    strides: [isize; AXES],
    /// Addresses of all bytes between the first and the last element in memory.
    bytes: Range<usize>,
    owner: PhantomData<&'a ()>,
}

impl<'a, T: Element, const AXES: usize> Memory<'a, T, AXES> {
    fn of(argument: &'static str, array: &'a Array<'_>) -> Result<Self, Error> {
        if !holds::<T>(array) {
            return Err(Error::Layout {
                argument,
                problem: T::WRONG_DTYPE,
            });
        }
        let rank = array.ndim();
        if rank > AXES {
            return Err(Error::Layout {
                argument,
                problem: "has more than 64 axes; reshape it",
            });
        }
        let mut memory = Self {
            first: NonNull::dangling().as_ptr(),
            rank,
            shape: [0; AXES],
            strides: [0; AXES],
            bytes: 0..0,
            owner: PhantomData,
        };
        memory.shape[..rank].copy_from_slice(array.shape());
        if array.shape().contains(&0) {
            // NumPy's strides of an empty array say nothing; a kernel may ask for whole rows.
            if let Some(last) = memory.strides[..rank].last_mut() {
                *last = 1;
            }
            return Ok(memory);
        }
        memory.first = data(array).cast();
        if !memory.first.is_aligned() {
            return Err(Error::Layout {
                argument,
                problem: "is misaligned; pass a copy",
            });
        }
        let size = size_of::<T>().cast_signed();
        let (mut start, mut end) = (memory.first.addr(), memory.first.addr() + size_of::<T>());
        for axis in (0..rank).filter(|&axis| array.shape()[axis] > 1) {
            let stride = array.strides()[axis];
            if stride % size != 0 {
                let problem = "has strides that are not whole elements; pass a copy";
                return Err(Error::Layout { argument, problem });
            }
            memory.strides[axis] = stride / size;
            // Saturates only for what no memory can hold, which the view refuses.
            let reach = stride
                .unsigned_abs()
                .saturating_mul(array.shape()[axis] - 1);
            if stride < 0 {
                start = start.saturating_sub(reach);
            } else {
                end = end.saturating_add(reach);
            }
        }
        memory.bytes = start..end;
        Ok(memory)
    }

    /// A matrix with an axis of length 1 before the others.
    fn with_heads(mut self) -> Self {
        (self.shape[2], self.shape[1], self.shape[0]) = (self.shape[1], self.shape[0], 1);
        (self.strides[2], self.strides[1], self.strides[0]) = (self.strides[1], self.strides[0], 0);
        self.rank = 3;
        self
    }

    fn shape(&self) -> &[usize] {
        &self.shape[..self.rank]
    }

    fn strides(&self) -> &[isize] {
        &self.strides[..self.rank]
    }
}

fn writeable(argument: &'static str, array: &Array<'_>) -> Result<(), Error> {
    if flags(array) & npyffi::NPY_ARRAY_WRITEABLE == 0 {
        return Err(Error::Layout {
            argument,
            problem: "is read-only; pass a writeable array",
        });
    }
    Ok(())
}

fn apart(
    argument: &'static str,
    bytes: &Range<usize>,
    others: &[Range<usize>],
) -> Result<(), Error> {
    let meets = |other: &Range<usize>| bytes.start < other.end && other.start < bytes.end;
    if others.iter().any(meets) {
        return Err(Error::Layout {
            argument,
            problem: "may share memory with another argument of the call; pass a copy",
        });
    }
    Ok(())
}

/// Whether `array` holds elements of type `T` in native byte order.
fn holds<T: Element>(array: &Array<'_>) -> bool {
    let dtype = array.dtype();
    T::TYPE_NUMBERS
        .iter()
        .any(|&number| number as c_int == dtype.num())
        && dtype.is_native_byteorder() != Some(false)
}

/// `object` as an array when its class is `numpy.ndarray` itself.
pub(crate) fn exact<'a, 'py>(object: &'a Bound<'py, PyAny>) -> Option<&'a Array<'py>> {
    // SAFETY: both are live objects' pointers, and the interpreter is attached.
    let exact = unsafe { npyffi::PyArray_CheckExact(object.py(), object.as_ptr()) } != 0;
    // SAFETY: the class was just checked.
    exact.then(|| unsafe { object.cast_unchecked() })
}

/// A new array in C order whose elements are not set: of `shape`, but `last` long in the last axis.
pub(crate) fn uninitialised<'py, T: Element>(
    py: Python<'py>,
    shape: &[usize],
    last: usize,
) -> PyResult<Array<'py>> {
    let mut lengths: Vec<_> = shape.iter().map(|length| length.cast_signed()).collect();
    if let Some(length) = lengths.last_mut() {
        *length = last.cast_signed();
    }
    // SAFETY: the descriptor is a new reference, which the constructor takes over; it reads as
    // many lengths as there are, and refuses too many; a null result means that an exception is set.
    unsafe {
        let class = npyffi::get_type_object(py, NpyTypes::PyArray_Type);
        let descriptor = PY_ARRAY_API.PyArray_DescrFromType(py, T::TYPE_NUMBERS[0] as c_int);
        let array = PY_ARRAY_API.PyArray_NewFromDescr(
            py,
            class,
            descriptor,
            lengths.len() as c_int,
            lengths.as_mut_ptr(),
            ptr::null_mut(),
            ptr::null_mut(),
            0,
            ptr::null_mut(),
        );
        Ok(Bound::from_owned_ptr_or_err(py, array)?.cast_into_unchecked())
    }
}

fn data(array: &Array<'_>) -> *mut u8 {
    // SAFETY: the pointer is that of a live array.
    unsafe {
        (*npyffi::_PyArray_GET_ITEM_DATA(array.as_array_ptr().cast_const()))
            .data
            .cast()
    }
}

fn flags(array: &Array<'_>) -> c_int {
    // SAFETY: the pointer is that of a live array.
    unsafe { (*npyffi::_PyArray_GET_ITEM_DATA(array.as_array_ptr().cast_const())).flags }
}
