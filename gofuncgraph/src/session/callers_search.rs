//! Looks for the direct callers of a plan's functions while events are taken.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Scope, ScopedJoinHandle};

use crate::binary::{GoBinary, VirtualAddress};
use crate::plan::ProbePlan;
use crate::promotion::DirectCallers;

/// A search on a thread: where there is much code it takes so long that the ring would overflow
/// meanwhile.
pub(super) struct CallersSearch<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    binary: &'scope GoBinary<'scope>,
    plan: &'scope ProbePlan,
    running: Option<ScopedJoinHandle<'scope, DirectCallers>>,
    found: Rc<OnceCell<DirectCallers>>,
    is_wanted: Arc<AtomicBool>,
}

impl<'scope, 'env> CallersSearch<'scope, 'env> {
    /// One that has not begun.
    pub(super) fn new(
        scope: &'scope Scope<'scope, 'env>,
        binary: &'scope GoBinary<'scope>,
        plan: &'scope ProbePlan,
    ) -> Self {
        Self {
            scope,
            binary,
            plan,
            running: None,
            found: Rc::default(),
            is_wanted: Arc::new(AtomicBool::new(true)),
        }
    }

    /// Where the result will be.
    pub(super) fn result(&self) -> Rc<OnceCell<DirectCallers>> {
        Rc::clone(&self.found)
    }

    /// Begins at the first call; says whether the result is there.
    pub(super) fn is_done(&mut self) -> bool {
        if self.found.get().is_some() {
            return true;
        }
        match self.running.take() {
            Some(running) if running.is_finished() => {
                // Without callers from the code they are learned from calls.
                let found = running.join().unwrap_or_default();
                self.found.set(found).is_ok()
            }
            Some(running) => {
                self.running = Some(running);
                false
            }
            None => {
                let (binary, plan) = (self.binary, self.plan);
                let is_wanted = Arc::clone(&self.is_wanted);
                self.running = Some(self.scope.spawn(move || {
                    let starts: HashSet<VirtualAddress> =
                        plan.functions.iter().map(|it| it.start).collect();
                    DirectCallers::find(binary, &starts, &|| is_wanted.load(Ordering::Relaxed))
                }));
                false
            }
        }
    }
}

impl Drop for CallersSearch<'_, '_> {
    /// The end of tracing does not wait for it.
    fn drop(&mut self) {
        self.is_wanted.store(false, Ordering::Relaxed);
    }
}
