//! `countersign explain`: the page of a code.

use super::Session;
use super::output::{Exit, Explained};
use clap::Args;
use countersign::refusals::{Code, Problem, Result};

#[derive(Args)]
pub struct Explain {
    /// The code, such as APPROVAL_REQUIRED
    code: String,
}

impl Explain {
    pub fn run(self, session: &Session) -> Result<Exit> {
        let code: Code = self.code.to_ascii_uppercase().parse().map_err(|()| {
            let all: Vec<_> = Code::ALL.iter().map(|code| code.name()).collect();
            let message = format!("there is no code {}", self.code);
            Problem::new(Code::UnknownId, message).hint(format!("there are {}", all.join(", ")))
        })?;
        session.answer(&Explained::of(code), |it| it.page.clone())?;
        Ok(Exit::Done)
    }
}
