//! The interruption of calls that block: they wait in slices, and look for a reason to end
//! between two of them.

use std::time::Duration;

use crate::errors::Result;

/// The longest time of a blocking read or write before it checks for signals.
pub(super) const SLICE: Duration = Duration::from_millis(100);

/// A function that blocking calls call while they wait, and after signals. It raises the
/// exceptions that are pending in Python, such as KeyboardInterrupt.
pub type Interrupt<'a> = dyn FnMut() -> Result<()> + 'a;
