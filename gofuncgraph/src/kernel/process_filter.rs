//! Whether the kernel runs probes of one process on all of its threads.

use std::os::fd::AsFd;
use std::thread;

use gofuncgraph_common::Counter;

use super::KernelError;
use super::calibration_code::{Code, Copy};
use super::link_target::{LinkScope, attach_at};
use super::tracer::Tracer;

/// Words of what is taken for `runtime.g`: more than it has. All are 0, which is nobody's goid.
const STRUCT_WORDS: usize = 512;

impl Tracer {
    /// Found out by running a probe of this process on another thread than its first, because
    /// fixes were taken into older kernels, too. Where it is not so, links have to be for all processes.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn filters_by_process(&mut self) -> Result<bool, KernelError> {
        let failed = |source| KernelError::Calibration { source };
        let code = Code::new(1).map_err(failed)?;
        let place = [(Copy(0).entry(), 0)];
        let own = LinkScope::Processes(vec![std::process::id()]);
        let attached = attach_at(self.programs.entry.as_fd(), code.file(), &place, &own)?;
        self.trace_own_process()?;
        self.enable()?;
        let goroutine = [0; STRUCT_WORDS];
        thread::scope(|scope| {
            let run = || code.run(Copy(0), 1, &goroutine);
            let thread = thread::Builder::new().spawn_scoped(scope, run)?;
            // It cannot panic: it only calls code that does nothing.
            let _ = thread.join();
            Ok(())
        })
        .map_err(failed)?;
        // Probes tell nothing of what is no goroutine, but count it.
        let was_run = self.counter(Counter::OffGoroutineStack)? != 0;
        self.disable()?;
        self.forget_own_process();
        self.links.close_meanwhile(attached.links);
        self.reset_counters()?;
        Ok(was_run)
    }
}
