//! The JSON that a Jenkins writes, in the shapes of the fixtures that node-jenkins recorded.

use serde_json::{Value, json};

use super::state::{BuildSeen, Item, Job, Place, State};

/// `…/job/backend/job/shop/`
pub(super) fn job_url(base: &str, name: &str) -> String {
    let mut url = base.to_owned();
    for part in name.split('/') {
        url.push_str("job/");
        url.push_str(&part.replace('%', "%25").replace(' ', "%20"));
        url.push('/');
    }
    url
}

fn last(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

pub(super) fn root(base: &str, state: &State) -> Value {
    let tops = state.jobs.keys().filter_map(|name| name.split('/').next());
    let mut tops: Vec<&str> = tops.collect();
    tops.dedup();
    let jobs = tops.iter().map(|name| {
        let class = match state.is_folder(name) {
            true => "com.cloudbees.hudson.plugins.folder.Folder",
            false => "hudson.model.FreeStyleProject",
        };
        json!({"_class": class, "name": name, "url": job_url(base, name), "color": "blue"})
    });
    json!({
        "_class": "hudson.model.Hudson", "mode": "NORMAL", "nodeDescription": "the Jenkins controller's built-in node",
        "jobs": jobs.collect::<Vec<_>>(), "quietingDown": false, "url": base, "useCrumbs": true, "useSecurity": true,
        "views": [], "numExecutors": state.executors,
    })
}

fn parameters(all: &super::Parameters) -> Value {
    let one = |(name, value): (&String, &String)| json!({"_class": "hudson.model.StringParameterValue", "name": name, "value": value});
    let list: Vec<Value> = all.iter().map(one).collect();
    json!({"_class": "hudson.model.ParametersAction", "parameters": list})
}

pub(super) fn job(base: &str, job: &Job, state: &State) -> Value {
    let name = &job.name;
    let class = match job.pipeline {
        true => "org.jenkinsci.plugins.workflow.job.WorkflowJob",
        false => "hudson.model.FreeStyleProject",
    };
    let definition = |name: &String| {
        json!({
            "_class": "hudson.model.StringParameterDefinition", "name": name, "description": "", "type": "StringParameterDefinition",
            "defaultParameterValue": {"_class": "hudson.model.StringParameterValue", "name": name, "value": ""},
        })
    };
    let property = job.parameters.as_ref().map(|names| {
        let definitions: Vec<Value> = names.iter().map(definition).collect();
        json!({"_class": "hudson.model.ParametersDefinitionProperty", "parameterDefinitions": definitions})
    });
    let builds = state
        .builds
        .get(name)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let builds: Vec<Value> = builds
        .iter()
        .rev()
        .map(|it| build(base, name, it))
        .collect();
    json!({
        "_class": class, "name": last(name), "fullName": name, "displayName": last(name), "url": job_url(base, name),
        "buildable": !job.disabled, "color": "blue", "concurrentBuild": false, "inQueue": false,
        "property": property.into_iter().collect::<Vec<_>>(), "builds": builds, "allBuilds": builds,
        "lastBuild": builds.first(), "nextBuildNumber": builds.len() + 1,
    })
}

pub(super) fn folder(base: &str, name: &str, state: &State) -> Value {
    let below = format!("{name}/");
    let jobs = state.jobs.keys().filter(|job| job.starts_with(&below));
    let jobs: Vec<Value> = jobs
        .map(|job| json!({"_class": "hudson.model.FreeStyleProject", "name": last(job), "url": job_url(base, job), "color": "blue"}))
        .collect();
    json!({
        "_class": "com.cloudbees.hudson.plugins.folder.Folder", "name": last(name), "fullName": name,
        "url": job_url(base, name), "jobs": jobs,
    })
}

pub(super) fn build(base: &str, job: &str, build: &BuildSeen) -> Value {
    let BuildSeen {
        number,
        queue_item,
        result,
        pipeline,
        ..
    } = build;
    let class = match pipeline {
        true => "org.jenkinsci.plugins.workflow.job.WorkflowRun",
        false => "hudson.model.FreeStyleBuild",
    };
    let mut actions = vec![
        json!({}),
        json!({
            "_class": "hudson.model.CauseAction",
            "causes": [{"_class": "hudson.model.Cause$UserIdCause", "shortDescription": "Started by user ann", "userId": "ann"}],
        }),
    ];
    if !build.parameters.is_empty() {
        actions.push(parameters(&build.parameters));
    }
    if let Some(commit) = &build.commit {
        let revision = json!({"SHA1": commit, "branch": [{"SHA1": commit, "name": "detached"}]});
        actions.push(json!({
            "_class": "hudson.plugins.git.util.BuildData", "buildsByBranchName": {}, "lastBuiltRevision": revision,
            "remoteUrls": ["https://git.example.org/shop.git"], "scmName": "",
        }));
    }
    let running = result.is_none();
    json!({
        "_class": class, "actions": actions, "artifacts": [], "building": running, "inProgress": running, "description": null,
        "displayName": format!("#{number}"), "duration": 0, "estimatedDuration": -1, "id": number.to_string(), "keepLog": false,
        "fullDisplayName": format!("{} #{number}", job.replace('/', " » ")), "number": number, "queueId": queue_item,
        "result": result, "timestamp": 1_795_262_301_000_u64 + build.started_ms, "url": format!("{}{number}/", job_url(base, job)),
    })
}

pub(super) fn item(base: &str, item: &Item, state: &State) -> Value {
    let Item { id, job, .. } = item;
    let busy = |it: &BuildSeen| it.result.is_none();
    let blocked = state
        .builds
        .get(job)
        .is_some_and(|all| all.iter().any(busy));
    let mut value = json!({
        "_class": "hudson.model.Queue$BuildableItem", "actions": [parameters(&item.parameters), {}], "blocked": false,
        "buildable": true, "cancelled": false, "id": id, "inQueueSince": 1_795_262_301_000_u64 + item.since_ms, "params": "",
        "stuck": false, "task": {"_class": "hudson.model.FreeStyleProject", "name": last(job), "url": job_url(base, job), "color": "blue"},
        "url": format!("queue/item/{id}/"), "why": "Waiting for next available executor",
    });
    match item.place {
        Place::Waiting if blocked => {
            value["_class"] = "hudson.model.Queue$BlockedItem".into();
            value["blocked"] = true.into();
            value["why"] = "Build is already in progress".into();
        }
        Place::Waiting => {}
        Place::Left { number, .. } => {
            value["_class"] = "hudson.model.Queue$LeftItem".into();
            value["buildable"] = false.into();
            value["why"] = Value::Null;
            let url = format!("{}{number}/", job_url(base, job));
            value["executable"] =
                json!({"_class": "hudson.model.FreeStyleBuild", "number": number, "url": url});
        }
        Place::Cancelled { .. } => {
            value["_class"] = "hudson.model.Queue$LeftItem".into();
            value["cancelled"] = true.into();
            value["why"] = Value::Null;
            value["executable"] = Value::Null;
        }
    }
    value
}
