"""Notices: in the prompt's history for programs, and in the editor on the node, with classic nodes and with Vue's."""

from __future__ import annotations

import re

import pytest
from editor import READY, not_of_the_editor, renderer
from host_graphs import EmojiGraph

KEY = "sampler_lab_notices"
LABEL = ".sampler-lab-notice"
HANGUL = re.compile("[\uac00-\ud7a3]")

pytestmark = pytest.mark.host


def notices(client, graph) -> list[dict]:
    """What the history's entry of this run says in the prompt's extra data."""
    result = client.run(graph.prompt, timeout=300)
    return client.history(result.prompt_id)["prompt"][3].get(KEY, [])


def cfg_pp(seed, scale, negative=True):
    """Three steps of a CFG++ sampler; and the id of the node that samples."""
    g = EmojiGraph(seed=seed)
    sigmas = g.add("BasicScheduler", model=g.model, scheduler="simple", steps=3, denoise=1.0)
    guider = g.guider(scale) if negative else g.basic_guider()
    latent = g.custom(g.add("SamplerLabSamplerSelect", sampler_name="euler_cfg_pp"), sigmas, guider)
    g.save("out", latent)
    return g, latent[0]


def daps(seed, particles=1, keep=0, **options):
    """Four annealing steps; and the id of the LatentDAPS node."""
    g = EmojiGraph(seed=seed)
    pruning = {"pruning": g.add("SamplerLabPruning", keep=keep, progress=0.5, mode="residual")} if keep else {}
    measurement = measured(g)
    sampler = g.add(
        "SamplerLabLatentDAPS",
        measurement=measurement,
        vae=g.vae,
        preset="emoji_langevin",
        measurement_weight=1.0,
        metrics_prefix="",
        **{"mcmc_steps": 3} | options | pruning,
    )
    sigmas = g.add("SamplerLabAnnealingScheduler", steps=4, sigma_max=10.0, sigma_min=0.1, rho=7.0)
    particles = g.add("SamplerLabParticles", measurement=measurement, vae=g.vae, particles=particles)
    g.save("out", g.custom(sampler, sigmas, g.guider(1.0), latent=particles))
    return g, sampler[0]


def phase_retrieval(seed, effort):
    """The whole recipe; and the id of its node."""
    g = EmojiGraph(seed=seed)
    sampler = g.add(
        "SamplerLabPhaseRetrievalSampler",
        measurement=measured(g),
        model=g.model,
        positive=g.positive,
        vae=g.vae,
        effort=effort,
        prior="emoji_64",
        seed=seed,
        metrics_prefix="",
    )
    g.save("out", [sampler[0], 2])
    return g, sampler[0]


def measured(g, oversample=2.0):
    operator = g.add(
        "SamplerLabPhaseRetrieval",
        preset="custom",
        oversample=oversample,
        noise_sigma=0.05,
        signal_range="0..1",
        clip_negative=True,
        kind="amplitude",
    )
    picture = g.add("SamplerLabEmojiPicture", name="donkey")
    return g.add("SamplerLabMeasure", operator=operator, image=picture, seed=g.seed)


# The history ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scale", "negative", "sentence"),
    [(7.0, True, "cfg is 7, and a CFG++ sampler wants 0.4 to 2"), (1.0, False, "needs a negative prompt and got none")],
)
def test_cfg_pp_says_what_it_cannot_work_with(client, scale, negative, sentence):
    graph, sampling = cfg_pp(301, scale, negative)
    (notice,) = notices(client, graph)
    assert sentence in notice["text"]
    assert (notice["severity"], notice["node"], notice["source"]) == ("warn", sampling, sampling)


def test_the_history_has_the_english_sentence_and_what_it_was_made_of(client):
    (notice,) = notices(client, cfg_pp(307, 7.0)[0])
    assert notice["values"] == {"scale": "7", "largest": "2"}
    assert notice["pattern"].format(**notice["values"]) == notice["text"]


def test_a_clean_run_has_nothing_to_say(client):
    assert notices(client, cfg_pp(302, 1.0)[0]) == []
    assert notices(client, daps(302)[0]) == []


@pytest.mark.parametrize("effort", [1, 2])
def test_few_attempts_of_the_recipe_have_nothing_to_say_of_pruning(client, effort):
    """Whoever set no number of survivors cannot choose a smaller one."""
    assert notices(client, phase_retrieval(319 + effort, effort)[0]) == []


def test_a_step_size_that_diverges_is_said_on_the_latent_daps_node(client):
    graph, sampler = daps(303, step_size=1.0)
    (notice,) = notices(client, graph)
    assert "step_size" in notice["text"]
    assert "rose" in notice["text"] or "of the measurement's energy" in notice["text"]
    assert notice["node"] == sampler
    assert graph.prompt[notice["source"]]["class_type"] == "SamplerCustomAdvanced"


@pytest.mark.parametrize(("keep", "severity"), [(9, "warn"), (2, "info")])
def test_pruning_that_drops_nobody_is_said(client, keep, severity):
    (notice,) = notices(client, daps(304, particles=2, keep=keep)[0])
    assert notice["text"].startswith(f"Pruning keeps {keep} of 2 particles, so none is dropped")
    assert notice["severity"] == severity


def test_a_measurement_that_many_pictures_explain_is_said_in_its_nodes_output(client):
    g = EmojiGraph(seed=305)
    measurement = measured(g, oversample=0.0)
    g.add("SamplerLabPreviewMeasurement", measurement=measurement, decades=3.0)
    (notice,) = client.run(g.prompt, timeout=120).outputs[measurement[0]][KEY]
    assert "oversample 0 records 1 values per pixel" in notice["text"]


def test_missing_dino_weights_say_what_to_download_and_where_to_put_it(client):
    g = EmojiGraph(seed=306, count=2)
    inputs = {"strength": 0.05, "feature_space": "dino", "sigma_break": 0.3, "vae": g.vae}
    guider = g.add("SamplerLabParticleGuider", guider=g.guider(), **inputs)
    sigmas = g.add("BasicScheduler", model=g.model, scheduler="simple", steps=2, denoise=1.0)
    g.save("out", g.custom(g.sampler("euler"), sigmas, guider))
    (notice,) = notices(client, g)
    assert "download model.safetensors of timm/vit_small_patch16_224.dino" in notice["text"]
    assert "models/dino" in notice["text"]


def test_the_table_says_where_lpips_is_explained(client):
    """Whichever prompt of this server was the first without LPIPS had the notice."""
    g = EmojiGraph(seed=308)
    measurement = measured(g)
    picture = g.add("SamplerLabEmojiPicture", name="donkey")
    inputs = {"particles": picture, "reference": picture, "measurement": measurement}
    compare = g.add("SamplerLabCompareToReference", filename_prefix="sampler_lab/lpips", **inputs)
    output = client.run(g.prompt, timeout=120).outputs[compare[0]]
    (text,) = output["text"]
    assert "see the log" not in text
    assert "LPIPS is left out: see the notice on Compare To Reference (it comes once) or its help page." in text


# The editor -----------------------------------------------------------------------------------------------------------


def load(page, prompt):
    page.evaluate("prompt => window.app.loadApiJson(prompt, 'notices')", prompt)
    page.wait_for_function("count => window.app.graph.nodes.length === count", arg=len(prompt))


def run(page):
    page.evaluate(
        """() => {
            window.runEnd = null;
            for (const how of ["execution_success", "execution_error"])
                window.app.api.addEventListener(how, () => { window.runEnd = how; }, { once: true });
            window.app.queuePrompt(0);
        }"""
    )
    page.wait_for_function("() => window.runEnd !== null", timeout=300_000)
    assert page.evaluate("() => window.runEnd") == "execution_success"


def labels(page):
    """Every label that can be seen: its node, its text, and where it lies over which node's title."""
    return page.evaluate(
        """selector => [...document.querySelectorAll(selector)].filter(label => label.offsetParent).map(label => {
            const { left, bottom, width, height } = label.getBoundingClientRect();
            const node = window.app.graph.getNodeById(label.dataset.node);
            const { scale, offset } = window.app.canvas.ds;
            const box = window.app.canvas.canvas.getBoundingClientRect();
            return { node: label.dataset.node, text: label.textContent, area: width * height,
                dx: left - box.left - (node.pos[0] + offset[0]) * scale,
                gap: (node.pos[1] - 30 + offset[1]) * scale - (bottom - box.top) };
        })""",
        LABEL,
    )


@pytest.mark.browser
@pytest.mark.parametrize("vue", [False, True], ids=["classic", "vue"])
def test_a_notice_stands_on_its_node_until_the_next_clean_run_and_is_not_saved(page, vue):
    page.wait_for_function(READY)
    page.evaluate("vue => window.app.extensionManager.setting.set('Comfy.VueNodes.Enabled', vue)", vue)
    # Another test may have left previews on, and nodes grow when one comes.
    page.evaluate("() => window.app.extensionManager.setting.set('Comfy.Execution.PreviewMethod', 'none')")
    graph, sampling = cfg_pp(310 + vue, 7.0)
    page.console_errors.clear()
    load(page, graph.prompt)
    page.evaluate("() => { window.app.graph.nodes.forEach(node => { node.pos[1] += 200; }); }")
    saved = page.evaluate("() => JSON.stringify(window.app.graph.serialize().nodes.map(n => [n.size, n.properties]))")
    run(page)
    page.wait_for_selector(LABEL, state="visible")
    toast = page.wait_for_selector(".p-toast-message:has-text('CFG++ sampler wants')", state="visible")
    assert "Sampler Lab" in toast.text_content()
    page.wait_for_timeout(300)  # the label follows in the next frame
    (label,) = labels(page)
    assert label["node"] == sampling
    assert "cfg is 7, and a CFG++ sampler wants 0.4 to 2" in label["text"]
    assert label["area"] > 2000
    assert abs(label["dx"]) < 2
    assert -1 < label["gap"] < 12
    workflow = page.evaluate("() => JSON.stringify(window.app.graph.serialize())")
    assert "CFG++ sampler wants" not in workflow
    assert saved == page.evaluate(
        "() => JSON.stringify(window.app.graph.serialize().nodes.map(n => [n.size, n.properties]))"
    )
    page.evaluate(
        """() => {
            const guider = window.app.graph.nodes.find(node => node.type === "CFGGuider");
            const cfg = guider.widgets.find(widget => widget.name === "cfg");
            cfg.value = 1;
            cfg.callback?.(1);
        }"""
    )
    run(page)
    page.wait_for_selector(LABEL, state="detached")
    assert not_of_the_editor(page.console_errors) == []


@pytest.mark.browser
def test_a_notice_can_be_dismissed(page):
    page.wait_for_function(READY)
    load(page, cfg_pp(312, 7.0)[0].prompt)
    page.evaluate("() => { window.app.graph.nodes.forEach(node => { node.pos[1] += 200; }); }")
    run(page)
    page.locator(f"{LABEL} button").click()
    page.wait_for_selector(LABEL, state="detached")


def open_as(page, prompt, workflow_id):
    """Open the graph as a workflow that has an id, as those have that were saved; the nodes have room above them."""
    load(page, prompt)
    workflow = page.evaluate("() => window.app.graph.serialize()")
    workflow["id"] = workflow_id
    for node in workflow["nodes"]:
        node["pos"] = [node["pos"][0], node["pos"][1] + 200]
    page.evaluate("workflow => window.app.loadGraphData(workflow)", workflow)
    page.wait_for_function("id => window.app.graph.id === id", arg=workflow_id)
    page.wait_for_timeout(1500)  # the editor keeps a workflow a little after each change


def reload(page):
    page.reload()
    page.wait_for_function(READY)
    page.wait_for_timeout(1000)


@pytest.mark.browser
@pytest.mark.parametrize("vue", [False, True], ids=["classic", "vue"])
def test_a_notice_on_one_of_the_hosts_nodes_stands_again_after_a_reload(page, vue):
    """And is announced once only; one that was dismissed does not come back."""
    page.wait_for_function(READY)
    with renderer(page, vue):
        graph, sampling = cfg_pp(314 + vue, 7.0)
        assert graph.prompt[sampling]["class_type"] == "SamplerCustomAdvanced"
        open_as(page, graph.prompt, f"0c0ffee0-0000-4000-8000-00000000000{vue:d}")
        run(page)
        page.wait_for_selector(LABEL, state="visible")
        reload(page)
        (label,) = labels(page)
        assert label["node"] == sampling
        assert "cfg is 7, and a CFG++ sampler wants 0.4 to 2" in label["text"]
        assert page.locator(".p-toast-message:has-text('CFG++ sampler wants')").count() == 0
        page.locator(f"{LABEL} button").click()
        page.wait_for_selector(LABEL, state="detached")
        reload(page)
        assert labels(page) == []


@pytest.mark.browser
def test_a_notice_is_not_kept_for_a_graph_without_an_id(page):
    """All graphs in the API's format have the same, zeros."""
    page.wait_for_function(READY)
    load(page, cfg_pp(318, 7.0)[0].prompt)
    run(page)
    page.wait_for_selector(LABEL, state="attached")
    assert "CFG++" not in page.evaluate("() => localStorage.getItem('sampler_lab.notices') ?? ''")


@pytest.mark.browser
def test_what_is_kept_is_checked_like_a_message(page):
    page.wait_for_function(READY)
    graph, sampling = cfg_pp(316, 1.0)
    workflow = "0c0ffee0-0000-4000-8000-000000000009"
    right = {"text": "a sentence", "severity": "info", "node": sampling, "source": sampling, "workflow_id": workflow}
    wrong = [None, 3, "text", {}, right | {"text": ""}, right | {"severity": "<b>"}, right | {"node": 7}]
    for kept, shown in (
        ("not a list", []),
        ([None, [workflow]], []),
        ([[workflow, {}]], []),
        ([[workflow, [*wrong, right]]], ["\u2139a sentence\u2715"]),
    ):
        page.evaluate("kept => localStorage.setItem('sampler_lab.notices', JSON.stringify(kept))", kept)
        open_as(page, graph.prompt, workflow)
        assert [label["text"] for label in labels(page)] == shown


@pytest.mark.browser
def test_a_notice_is_said_in_korean_and_kept_in_english(page, client):
    page.wait_for_function(READY)

    def speak(language):
        page.evaluate("language => window.app.extensionManager.setting.set('Comfy.Locale', language)", language)
        reload(page)

    speak("ko")
    try:
        open_as(page, cfg_pp(317, 7.0)[0].prompt, "0c0ffee0-0000-4000-8000-000000000008")
        run(page)
        page.wait_for_selector(LABEL, state="visible")
        toast = page.wait_for_selector(".p-toast-message:has-text('CFG++')", state="visible").text_content()
        (label,) = labels(page)
        for said in (toast, label["text"]):
            assert len(HANGUL.findall(said)) > 20
            assert "7" in said
            assert "wants" not in said
        kept = [each["prompt"][3].get(KEY, []) for each in client._get("/history").values()]
        (notice,) = kept[-1]
        assert "cfg is 7, and a CFG++ sampler wants 0.4 to 2" in notice["text"]
    finally:
        speak("en")
