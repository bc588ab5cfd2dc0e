//! Requests with our name on them: the token, the crumb, and what a status means.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use hyper::{
    HeaderMap, Method, Request,
    header::{
        AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, HeaderValue, RETRY_AFTER, SET_COOKIE, USER_AGENT,
    },
};
use rustls::ClientConfig;
use serde::Deserialize;
use world::World;

use crate::{
    Access, Trouble,
    access::Base,
    exchange::{Answer, exchange},
    tls,
};

/// What a login by password needs beside it.
#[derive(Clone)]
struct Crumb {
    field: String,
    value: HeaderValue,
    cookie: Option<HeaderValue>,
}

#[derive(Deserialize)]
struct RawCrumb {
    crumb: String,
    #[serde(rename = "crumbRequestField")]
    field: String,
}

/// Who asks, and whom. It has no `Debug`, for there is a crumb in it.
pub(crate) struct Asker {
    access: Access,
    base: Base,
    world: World,
    config: Option<Arc<ClientConfig>>,
    crumb: Mutex<Option<Crumb>>,
}

impl Asker {
    pub(crate) fn new(access: Access, world: World) -> Result<Self, String> {
        access.check()?;
        let base = Base::parse(&access.url)?;
        let config = match base.address.tls {
            true => Some(tls::read(access.ca_file.as_deref(), &world)?),
            false => None,
        };
        let asker = Self {
            access,
            base,
            world,
            config,
            crumb: Mutex::new(None),
        };
        // Looked at once here, so that a wrong path is told at the start.
        let token = asker.world.disk.read(&asker.access.token_file);
        asker.authorization(token)?;
        Ok(asker)
    }

    /// Where it goes, for people.
    pub(crate) fn address(&self) -> String {
        self.base.address.connect_to()
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Answer, Trouble> {
        self.send(Method::GET, path, None, None).await
    }

    /// Posts a form; with a crumb where Jenkins wants one.
    pub(crate) async fn post(&self, path: &str, form: String) -> Result<Answer, Trouble> {
        let known = self.known_crumb();
        let body = Bytes::from(form);
        let answer = self.send(Method::POST, path, Some(body.clone()), known.as_ref());
        let answer = answer.await?;
        if answer.status != 403 || !wants_crumb(&answer.body) {
            return Ok(answer);
        }
        let Some(crumb) = self.new_crumb().await? else {
            return Ok(answer);
        };
        *self.crumb.lock().unwrap_or_else(PoisonError::into_inner) = Some(crumb.clone());
        self.send(Method::POST, path, Some(body), Some(&crumb))
            .await
    }

    fn known_crumb(&self) -> Option<Crumb> {
        self.crumb
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    async fn new_crumb(&self) -> Result<Option<Crumb>, Trouble> {
        let answer = self.get("/crumbIssuer/api/json").await?;
        if answer.status != 200 {
            return Ok(None);
        }
        let Ok(raw) = serde_json::from_slice::<RawCrumb>(&answer.body) else {
            return Ok(None);
        };
        let pairs = answer.headers.get_all(SET_COOKIE).iter();
        let pairs = pairs.filter_map(|it| it.to_str().ok()?.split(';').next());
        let cookies = pairs.collect::<Vec<_>>().join("; ");
        let secret = |text: &str| {
            let mut value = HeaderValue::from_str(text).ok()?;
            value.set_sensitive(true);
            Some(value)
        };
        let Some(value) = secret(&raw.crumb) else {
            return Ok(None);
        };
        Ok(Some(Crumb {
            field: raw.field,
            value,
            cookie: secret(&cookies).filter(|_| !cookies.is_empty()),
        }))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        form: Option<Bytes>,
        crumb: Option<&Crumb>,
    ) -> Result<Answer, Trouble> {
        let file = self.access.token_file.clone();
        let token = self.world.on_disk(move |disk| disk.read(&file)).await;
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base.path))
            .header(HOST, &self.base.address.authority)
            .header(USER_AGENT, concat!("deploykit/", env!("CARGO_PKG_VERSION")))
            .header(
                AUTHORIZATION,
                self.authorization(token).map_err(Trouble::Own)?,
            );
        if form.is_some() {
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        if let Some(crumb) = crumb {
            request = request.header(&crumb.field, &crumb.value);
            if let Some(cookie) = &crumb.cookie {
                request = request.header(COOKIE, cookie);
            }
        }
        let body = form.unwrap_or_default();
        let Self { world, access, .. } = self;
        let config = self.config.as_ref();
        exchange(world, access, &self.base, config, request, body).await
    }

    fn authorization(&self, token: io::Result<Vec<u8>>) -> Result<HeaderValue, String> {
        let file = self.access.token_file.display();
        let wrong = |why: &str| format!("jenkins.token_file {file}: {why}");
        let token = token.map_err(|error| wrong(&error.to_string()))?;
        let token = String::from_utf8(token).map_err(|_| wrong("it is not UTF-8"))?;
        let token = token.trim_end_matches(['\r', '\n']);
        if token.trim().is_empty() {
            return Err(wrong("it is empty"));
        }
        let pair = STANDARD.encode(format!("{}:{token}", self.access.user));
        let mut value = HeaderValue::from_str(&format!("Basic {pair}"))
            .map_err(|_| wrong("it cannot be sent"))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

fn wants_crumb(body: &[u8]) -> bool {
    const SAID: &[u8] = b"No valid crumb";
    body.windows(SAID.len()).any(|window| window == SAID)
}

/// What a status other than success means.
pub(crate) fn refused(answer: &Answer) -> Trouble {
    match answer.status {
        401 => Trouble::Login,
        403 => Trouble::Forbidden {
            permission: permission(&answer.headers),
        },
        404 => Trouble::Missing,
        409 => Trouble::Disabled,
        status @ (429 | 500..) => Trouble::NotReady {
            status,
            after: retry_after(&answer.headers),
        },
        300..=399 => Trouble::NotJson("a redirect".to_owned()),
        status => Trouble::Status(status),
    }
}

/// `X-Required-Permission: hudson.model.Item.Build`
fn permission(headers: &HeaderMap) -> Option<String> {
    let text = headers.get("x-required-permission")?.to_str().ok()?;
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '$' | '/');
    (text.len() <= 100 && text.chars().all(word)).then(|| text.to_owned())
}

/// Seconds; a date is not read.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    text.parse().ok().map(Duration::from_secs)
}
