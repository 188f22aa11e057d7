//! Who is it? The listener's authenticators decide; so far there is one, `local`.

use super::Shared;
use super::refuse::Refused;
use super::startup::Started;
use crate::domain::caller::Caller;
use crate::error::ClientFacing;

/// The caller is proven.
#[derive(Debug)]
pub struct Identified {
    pub started: Started,
    pub caller: Caller,
}

pub fn identify(shared: &Shared, mut started: Started) -> Result<Identified, Refused> {
    match shared.local.identify(started.peer) {
        Ok(caller) => {
            started.record.identified(&caller);
            Ok(Identified { started, caller })
        }
        Err(error) => Err(Refused::told(started.stream, started.record, error.refusal())),
    }
}
