//! The folder that is handed off.

use crate::ElsewhereConfig;
use semievol_core::{Role, write_whole};
use semievol_train::{Example, Recipe, TrainError, TrainJob};
use serde_json::{Value, json};
use std::path::Path;

/// Its name among data sets.
const DATASET: &str = "semievol";

/// Writes `train.jsonl`, `dataset_info.json`, `llamafactory.yaml` and `axolotl.yaml` into a folder. Both configurations put
/// the adapter into its subfolder `adapter`.
///
/// # Errors
/// If the job has what those programs have not, or a file cannot be written.
pub fn write(config: &ElsewhereConfig, job: &TrainJob<'_>, folder: &Path) -> Result<(), TrainError> {
    put(&contents(config, job)?, folder)
}

/// Names and texts of the files.
pub(crate) type Contents = [(&'static str, String); 4];

pub(crate) fn put(contents: &Contents, folder: &Path) -> Result<(), TrainError> {
    std::fs::create_dir_all(folder).map_err(|error| file_error(folder, &error))?;
    for (name, text) in contents {
        let file = folder.join(name);
        write_whole(&file, text.as_bytes()).map_err(|error| file_error(&file, &error))?;
    }
    Ok(())
}

pub(crate) fn contents(config: &ElsewhereConfig, job: &TrainJob<'_>) -> Result<Contents, TrainError> {
    job.check()?;
    let soft = |example: &Example| example.weight != 1.0 || !example.others.is_empty();
    if let Some(index) = job.examples.iter().position(soft) {
        return Err(unfit(format!(
            "example {index} has a weight or a soft target, which training elsewhere cannot learn: take evolve.targets = \"hard\" and a selector that does not weigh"
        )));
    }
    if job.recipe.alpha.fract() != 0.0 || job.recipe.alpha < 1.0 {
        return Err(unfit(format!(
            "train.alpha is {}, and LLaMA-Factory takes whole numbers",
            job.recipe.alpha
        )));
    }
    if job.from.is_some() {
        return Err(TrainError::From {
            reason: "training elsewhere begins at the base: leave method.pretrain out".into(),
        });
    }
    Ok([
        ("train.jsonl", job.examples.iter().map(|example| format!("{}\n", row(example))).collect()),
        ("dataset_info.json", format!("{:#}\n", dataset_info())),
        ("llamafactory.yaml", yaml(&llamafactory(config, job))),
        ("axolotl.yaml", yaml(&axolotl(config, job))),
    ])
}

/// The chat, of which the last message alone is learnt.
fn row(example: &Example) -> Value {
    let message = |role: Role, content: &str, learnt: bool| json!({"role": role.as_str(), "content": content, "train": learnt});
    let asked = example.prompt.messages.iter();
    let mut messages: Vec<Value> = asked.map(|one| message(one.role, &one.content, false)).collect();
    let response = format!("{}{}", example.prompt.response_prefix, example.response);
    messages.push(message(Role::Assistant, &response, true));
    json!({"messages": messages})
}

fn dataset_info() -> Value {
    json!({DATASET: {
        "file_name": "train.jsonl",
        "formatting": "sharegpt",
        "columns": {"messages": "messages"},
        "tags": {
            "role_tag": "role",
            "content_tag": "content",
            "user_tag": "user",
            "assistant_tag": "assistant",
            "system_tag": "system",
        },
    }})
}

/// What both programs call alike.
fn shared(job: &TrainJob<'_>) -> impl Iterator<Item = (&'static str, Value)> + use<> {
    let recipe = job.recipe;
    let steps = recipe.total_steps(job.examples.len()) as f64;
    [
        ("lora_dropout", json!(0.0)),
        ("output_dir", json!("adapter")),
        ("save_strategy", json!("no")),
        ("logging_steps", json!(1)),
        ("gradient_accumulation_steps", json!(1)),
        ("learning_rate", json!(recipe.lr)),
        ("warmup_steps", json!((steps * recipe.warmup_ratio).ceil() as usize)),
        ("weight_decay", json!(recipe.weight_decay)),
        ("max_grad_norm", json!(recipe.max_grad_norm)),
        // One that fits into 31 bits.
        ("seed", json!(job.seed.0 >> 33)),
    ]
    .into_iter()
}

/// Passes or steps, as the recipe says.
fn length(recipe: &Recipe, epochs: &'static str) -> (&'static str, Value) {
    match recipe.max_steps {
        0 => (epochs, json!(recipe.epochs)),
        steps => ("max_steps", json!(steps)),
    }
}

fn llamafactory(config: &ElsewhereConfig, job: &TrainJob<'_>) -> Vec<(&'static str, Value)> {
    let recipe = job.recipe;
    let mut pairs = vec![
        ("model_name_or_path", json!(config.base)),
        ("stage", json!("sft")),
        ("do_train", json!(true)),
        ("finetuning_type", json!("lora")),
        ("lora_target", json!("all")),
        ("lora_rank", json!(recipe.rank)),
        ("lora_alpha", json!(recipe.alpha as i64)),
        ("dataset", json!(DATASET)),
        ("dataset_dir", json!(".")),
        // Neighbours in the prompt are shown, not learnt.
        ("mask_history", json!(true)),
        ("cutoff_len", json!(config.max_tokens)),
        ("overwrite_output_dir", json!(true)),
        ("report_to", json!("none")),
        ("per_device_train_batch_size", json!(recipe.batch_size)),
        length(recipe, "num_train_epochs"),
        ("lr_scheduler_type", json!(if recipe.cosine { "cosine" } else { "constant_with_warmup" })),
    ];
    pairs.extend(shared(job));
    pairs.extend(config.template.as_ref().map(|template| ("template", json!(template))));
    pairs
}

fn axolotl(config: &ElsewhereConfig, job: &TrainJob<'_>) -> Vec<(&'static str, Value)> {
    let recipe = job.recipe;
    let data = json!([{
        "path": "train.jsonl",
        "ds_type": "json",
        "type": "chat_template",
        "field_messages": "messages",
        "message_property_mappings": {"role": "role", "content": "content"},
        "message_field_training": "train",
        "roles_to_train": [],
        "train_on_eos": "turn",
    }]);
    let mut pairs = vec![
        ("base_model", json!(config.base)),
        ("chat_template", json!("tokenizer_default")),
        ("datasets", data),
        ("adapter", json!("lora")),
        ("lora_r", json!(recipe.rank)),
        ("lora_alpha", json!(recipe.alpha as i64)),
        ("lora_target_linear", json!(true)),
        ("sequence_len", json!(config.max_tokens)),
        ("micro_batch_size", json!(recipe.batch_size)),
        length(recipe, "num_epochs"),
        ("lr_scheduler", json!(if recipe.cosine { "cosine" } else { "constant_with_warmup" })),
        ("optimizer", json!("adamw_torch")),
    ];
    pairs.extend(shared(job));
    pairs
}

/// JSON is YAML, so every value may stand as it is.
fn yaml(pairs: &[(&str, Value)]) -> String {
    pairs.iter().map(|(key, value)| format!("{key}: {}\n", number(value))).collect()
}

/// Small numbers without an exponent: YAML 1.1 reads `1e-5` as a text.
fn number(value: &Value) -> String {
    value.as_f64().filter(|_| value.is_f64()).map_or_else(|| value.to_string(), decimal)
}

fn decimal(number: f64) -> String {
    let text = format!("{number}");
    if text.contains('.') { text } else { format!("{text}.0") }
}

pub(crate) fn unfit(reason: String) -> TrainError {
    TrainError::Backend { trainer: "training elsewhere".into(), reason, source: None }
}

pub(crate) fn file_error(path: &Path, error: &std::io::Error) -> TrainError {
    TrainError::File { path: path.display().to_string(), reason: error.to_string(), source: None }
}

#[cfg(test)]
mod tests {
    use super::{decimal, yaml};
    use serde_json::json;

    #[test]
    fn yaml_of_old_reads_every_number() {
        assert_eq!(decimal(5e-4), "0.0005");
        assert_eq!(decimal(1e-7), "0.0000001");
        assert_eq!(decimal(1.0), "1.0");
        let text = yaml(&[("a", json!(1e-5)), ("b", json!("x: y")), ("c", json!(true)), ("d", json!(3))]);
        assert_eq!(text, "a: 0.00001\nb: \"x: y\"\nc: true\nd: 3\n");
    }
}
