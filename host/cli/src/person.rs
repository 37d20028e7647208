//! `countersign person`: who may sign in at the server of a folder, and what for.

use super::door::Door;
use super::output::{Exit, Invited, PersonShown};
use super::screen::Screen;
use super::{Session, draw};
use clap::Subcommand;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use countersign::people::Role;
use countersign::printable::{line, shell};
use countersign::refusals::{Code, Problem, Result};

#[derive(Subcommand)]
pub enum Person {
    /// List everybody who may sign in
    List,
    /// Make a one-time link by which somebody chooses a password
    Invite {
        name: String,
        /// What they are there for; can be given more than once. Without it they must be there, and keep their roles
        #[arg(long = "role", value_name = "ROLE", value_parser = roles())]
        roles: Vec<Role>,
    },
    /// Say what somebody is there for from now on
    Roles {
        name: String,
        /// A role; can be given more than once
        #[arg(long = "role", value_name = "ROLE", required = true, value_parser = roles())]
        roles: Vec<Role>,
    },
    /// Remove somebody: they are signed out, and their tokens end; what they did stays
    Remove { name: String },
}

/// Reads a role as a person wrote it.
pub fn roles() -> impl TypedValueParser<Value = Role> {
    let names = PossibleValuesParser::new(Role::ALL.map(Role::name));
    names.try_map(|name| Role::parse(&name).ok_or("there is no such role"))
}

impl Person {
    pub async fn run(self, session: &Session) -> Result<Exit> {
        let door = session.door().await?;
        match self {
            Person::List => session.answer(&door.people().await?, |list| {
                let rows: Vec<_> = list.people.iter().map(row).collect();
                draw::table(&["NAME", "ROLES", "STATE", "ADDED", "BY"], &rows, Screen::here().columns())
            })?,
            Person::Invite { name, roles } => session.answer(&invite(&door, &name, roles).await?, |it| {
                let (name, link, expires) = (line(&it.name), line(&it.link), line(&it.expires));
                format!(
                    "{link}\n\nWhoever opens it first chooses the password of {name}: hand it to them alone. It ends at \
                     {expires}.\n"
                )
            })?,
            Person::Roles { name, roles } => session.answer(&door.set_roles(&name, roles).await?, |it| {
                format!("Person    {}\nRoles     {}\n", line(&it.name), draw::roles(&it.roles))
            })?,
            Person::Remove { name } => session.answer(&door.remove_person(&name).await?, |it| {
                format!("Removed {}\n", line(&it.removed))
            })?,
        }
        Ok(Exit::Done)
    }
}

/// Without roles it is for somebody who is there.
async fn invite(door: &Door, name: &str, roles: Vec<Role>) -> Result<Invited> {
    let is_for_new = !roles.is_empty();
    door.invite(name, roles).await.map_err(|error| {
        let problem = Problem::from(error);
        match problem.code {
            Code::UnknownId if !is_for_new => problem
                .hint(format!(
                    "somebody new: say what for, `countersign person invite {} --role approver`",
                    shell(name)
                ))
                .into(),
            _ => problem.into(),
        }
    })
}

fn row(person: &PersonShown) -> Vec<String> {
    let state = match (person.joined, &person.invited_until) {
        (true, _) => "joined".into(),
        (false, Some(until)) => format!("invited until {until}"),
        (false, None) => "not joined".into(),
    };
    vec![
        person.name.clone(),
        draw::roles(&person.roles),
        state,
        person.added.clone(),
        person.added_by.clone(),
    ]
}
