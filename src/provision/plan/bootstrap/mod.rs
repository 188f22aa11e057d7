//! What an administrator has to do once, before a provisioner can do the rest; and afterwards, what it cannot do.
//!
//! - [`mod@founding`]: the provisioner itself, what is handed over to it, and who may enter `postgres`
//! - [`mod@finish`]: extensions that are not trusted, and what PUBLIC may in schemas of a superuser
//! - [`mod@foreseen`]: the cluster as the provisioner will find it, for a plan of all of it before anything is done

mod finish;
mod foreseen;
mod founding;
#[cfg(test)]
mod tests;

pub use finish::{finish, without_untrusted};
pub use foreseen::foreseen;
pub use founding::{Founding, founding};
