//! What the double answers to a request.

use std::collections::BTreeMap;

use axum::{
    body::Body,
    http::{HeaderMap, Method, StatusCode, header},
    response::Response,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    PASSWORD, Parameters, TOKEN, USER, shapes,
    state::{State, Triggered},
    tree::prune,
};

/// A request, taken apart.
pub(super) struct Asked<'a> {
    pub(super) method: &'a Method,
    /// Below the context path, without the slash at its start.
    pub(super) path: &'a str,
    pub(super) query: BTreeMap<String, String>,
    pub(super) form: Parameters,
    pub(super) headers: &'a HeaderMap,
}

/// What does not change from request to request.
pub(super) struct House {
    /// `http://127.0.0.1:1/jenkins/`
    pub(super) base: String,
    /// What `Location` begins with.
    pub(super) told_base: String,
    pub(super) unparameterized: u16,
}

enum Who {
    Token,
    Password,
}

pub(super) fn page(status: u16, text: &str) -> Response {
    let html =
        format!("<html><head><title>{status}</title></head><body><h2>{text}</h2></body></html>");
    let status = StatusCode::from_u16(status).expect("a status");
    let response = Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "text/html;charset=utf-8")
        .header("X-Jenkins", "2.492.1")
        .header("X-Hudson", "1.395");
    response.body(Body::from(html)).expect("a page")
}

pub(super) fn answer(state: &mut State, house: &House, asked: &Asked<'_>, now_ms: u64) -> Response {
    let who = match who(asked.headers) {
        Ok(who) => who,
        Err(response) => return *response,
    };
    let posts = asked.method == Method::POST;
    if posts && matches!(who, Who::Password) && !has_crumb(state, asked.headers) {
        return page(403, "No valid crumb was included in the request");
    }
    let parts: Vec<&str> = asked.path.trim_end_matches('/').split('/').collect();
    match parts[..] {
        [""] => page(200, "Dashboard"),
        ["queue"] => page(200, "Queue"),
        ["api", "json"] => told(&shapes::root(&house.base, state), asked),
        ["me", "api", "json"] => told(
            &json!({"_class": "hudson.model.User", "id": USER, "fullName": USER}),
            asked,
        ),
        ["crumbIssuer", "api", "json"] => crumb(state, now_ms),
        ["queue", "api", "json"] => {
            let waiting = state
                .queue
                .iter()
                .filter(|it| it.place == super::state::Place::Waiting);
            let items: Vec<Value> = waiting
                .map(|it| shapes::item(&house.base, it, state))
                .collect();
            told(
                &json!({"_class": "hudson.model.Queue", "discoverableItems": [], "items": items}),
                asked,
            )
        }
        ["queue", "item", id, "api", "json"] => {
            let id = id.parse().ok();
            match state.queue.iter().find(|it| Some(it.id) == id) {
                Some(item) => told(&shapes::item(&house.base, item, state), asked),
                None => page(404, "Not Found"),
            }
        }
        // The newer address, and the one that npm's client still uses.
        ["queue", "cancelItem"] if posts => {
            let id = asked.query.get("id").or(asked.form.get("id"));
            cancelled(state, id.map_or("", String::as_str), now_ms)
        }
        ["queue", "item", id, "cancelQueue"] if posts => cancelled(state, id, now_ms),
        ["job", ..] => job(state, house, asked, &parts, now_ms),
        _ => page(404, "Not Found"),
    }
}

fn cancelled(state: &mut State, id: &str, now_ms: u64) -> Response {
    match id.parse().is_ok_and(|id| state.cancel(id, now_ms)) {
        true => empty(302),
        false => page(404, "Not Found"),
    }
}

/// `job/backend/job/shop/…`
fn job(
    state: &mut State,
    house: &House,
    asked: &Asked<'_>,
    parts: &[&str],
    now_ms: u64,
) -> Response {
    let mut names = Vec::new();
    let mut rest = parts;
    while let ["job", name, after @ ..] = rest {
        names.push(decoded(name, false));
        rest = after;
    }
    let name = names.join("/");
    let Some(known) = state.jobs.get(&name) else {
        return match rest {
            ["api", "json"] if state.is_folder(&name) => {
                told(&shapes::folder(&house.base, &name, state), asked)
            }
            _ => page(404, "Not Found"),
        };
    };
    let posts = asked.method == Method::POST;
    match rest {
        // What a person sees, and where a redirect after a form leads.
        [] => page(200, "Job"),
        [number]
            if number
                .parse()
                .is_ok_and(|it| state.build(&name, it).is_some()) =>
        {
            page(200, "Build")
        }
        ["api", "json"] => told(&shapes::job(&house.base, known, state), asked),
        ["build" | "buildWithParameters"] if !posts => page(405, "Form post required"),
        ["build"] => triggered(state.trigger(&name, None, now_ms), house),
        ["buildWithParameters"] => {
            let given: Parameters = asked
                .query
                .clone()
                .into_iter()
                .chain(asked.form.clone())
                .collect();
            triggered(state.trigger(&name, Some(&given), now_ms), house)
        }
        ["enable" | "disable"] if posts => {
            let disabled = rest == ["disable"];
            state
                .jobs
                .entry(name)
                .and_modify(|job| job.disabled = disabled);
            empty(302)
        }
        [number, "api", "json"] => {
            let found = number.parse().ok().and_then(|it| state.build(&name, it));
            match found {
                Some(build) => told(&shapes::build(&house.base, &name, build), asked),
                None => page(404, "Not Found"),
            }
        }
        [number, "stop"] if posts => {
            let stopped = number
                .parse()
                .is_ok_and(|it| state.finish(&name, it, "ABORTED"));
            if stopped {
                empty(302)
            } else {
                page(404, "Not Found")
            }
        }
        _ => page(404, "Not Found"),
    }
}

fn triggered(triggered: Triggered, house: &House) -> Response {
    match triggered {
        Triggered::Item(id) => Response::builder()
            .status(201)
            .header(
                header::LOCATION,
                format!("{}queue/item/{id}/", house.told_base),
            )
            .body(Body::empty())
            .expect("an answer"),
        Triggered::NoJob => page(404, "Not Found"),
        Triggered::Disabled => page(409, "The job is not buildable"),
        Triggered::NotParameterized => {
            page(house.unparameterized, "This build is not parameterized!")
        }
        Triggered::Parameterized => page(400, "Nothing is submitted"),
    }
}

fn empty(status: u16) -> Response {
    let response = Response::builder()
        .status(status)
        .header(header::LOCATION, ".");
    response.body(Body::empty()).expect("an answer")
}

fn told(value: &Value, asked: &Asked<'_>) -> Response {
    let value = match asked.query.get("tree") {
        Some(tree) => match prune(value, tree) {
            Some(value) => value,
            None => return page(500, "Oops! A problem occurred: bad tree"),
        },
        None => value.clone(),
    };
    let response = Response::builder()
        .header(header::CONTENT_TYPE, "application/json;charset=utf-8")
        .header("X-Jenkins", "2.492.1");
    response
        .body(Body::from(value.to_string()))
        .expect("an answer")
}

fn who(headers: &HeaderMap) -> Result<Who, Box<Response>> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Err(page(403, "Authentication required").into());
    };
    let pair = value.to_str().ok().and_then(|it| it.strip_prefix("Basic "));
    let pair = pair.and_then(|it| STANDARD.decode(it).ok());
    let pair = pair
        .and_then(|it| String::from_utf8(it).ok())
        .unwrap_or_default();
    match pair.strip_prefix(&format!("{USER}:")) {
        Some(TOKEN) => Ok(Who::Token),
        Some(PASSWORD) => Ok(Who::Password),
        _ => Err(page(401, "Invalid password/token for user").into()),
    }
}

fn crumb(state: &mut State, now_ms: u64) -> Response {
    let number = state.sessions.len();
    let (session, crumb) = (
        format!("node0s{number}t{now_ms}"),
        format!("c{number}-{now_ms:064x}"),
    );
    state.sessions.insert(session.clone(), crumb.clone());
    let told = json!({
        "_class": "hudson.security.csrf.DefaultCrumbIssuer", "crumb": crumb, "crumbRequestField": "Jenkins-Crumb",
    });
    Response::builder()
        .header(header::CONTENT_TYPE, "application/json;charset=utf-8")
        .header(
            header::SET_COOKIE,
            format!("JSESSIONID.f00={session}; Path=/jenkins; HttpOnly"),
        )
        .body(Body::from(told.to_string()))
        .expect("an answer")
}

/// The crumb counts only with the session that it was given to (since 2.176.2).
fn has_crumb(state: &State, headers: &HeaderMap) -> bool {
    let text = |name: &str| {
        headers
            .get(name)
            .and_then(|it| it.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    let cookies = text("cookie");
    let sessions = cookies
        .split(';')
        .filter_map(|it| it.trim().strip_prefix("JSESSIONID.f00="));
    let crumb = text("jenkins-crumb");
    sessions
        .into_iter()
        .any(|session| state.sessions.get(session) == Some(&crumb))
}

/// `a=1&b=%20`
pub(super) fn fields(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split('&').filter(|it| !it.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name, true), decoded(value, true))
        })
        .collect()
}

fn decoded(text: &str, form: bool) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        match (first, after.get(..2).and_then(hex)) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            (b'+', _) if form => {
                bytes.push(b' ');
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
