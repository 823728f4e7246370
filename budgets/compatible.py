"""
Providers that copy OpenAI's chat API, as facts: who they are, where, and which variable holds the key.

The addresses and variables are those of the list of compatible providers in litellm 1.106.2 (MIT), compared
with the pages that are named; the ids are those of the price data, so that a row without prices has no use
here. https://docs.litellm.ai/docs/providers
"""

from __future__ import annotations

from typing import NamedTuple


class Compatible(NamedTuple):
    """One of them. Its streams are asked for their usage, and again without where it refuses to be asked."""

    id: str
    base_url: str
    key_variables: tuple[str, ...]
    documentation: str
    aliases: tuple[str, ...] = ()


COMPATIBLE: tuple[Compatible, ...] = (
    Compatible(
        "ai21",
        "https://api.ai21.com/studio/v1",
        ("AI21_API_KEY",),
        "https://docs.ai21.com/reference/jamba-1-6-api-ref",
    ),
    Compatible(
        "aihubmix",
        "https://aihubmix.com/v1",
        ("AIHUBMIX_API_KEY",),
        "https://docs.aihubmix.com/en",
    ),
    Compatible(
        "aiml",
        "https://api.aimlapi.com/v1",
        ("AIML_API_KEY",),
        "https://docs.aimlapi.com/",
    ),
    Compatible(
        "baseten",
        "https://inference.baseten.co/v1",
        ("BASETEN_API_KEY",),
        "https://docs.baseten.co/development/model-apis/overview",
    ),
    Compatible(
        "crusoe",
        "https://managed-inference-api-proxy.crusoecloud.com/v1",
        ("CRUSOE_API_KEY",),
        "https://docs.litellm.ai/docs/providers/crusoe",
    ),
    Compatible(
        "dashscope",
        "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        ("DASHSCOPE_API_KEY",),
        "https://www.alibabacloud.com/help/en/model-studio/compatibility-of-openai-with-dashscope",
        ("alibaba",),
    ),
    Compatible(
        "deepinfra",
        "https://api.deepinfra.com/v1/openai",
        ("DEEPINFRA_API_KEY", "DEEPINFRA_TOKEN"),
        "https://deepinfra.com/docs/openai_api",
    ),
    Compatible(
        "friendliai",
        "https://api.friendli.ai/serverless/v1",
        ("FRIENDLI_TOKEN", "FRIENDLIAI_API_KEY"),
        "https://friendli.ai/docs/guides/openai-compatibility",
        ("friendli",),
    ),
    Compatible(
        "gmi",
        "https://api.gmi-serving.com/v1",
        ("GMI_API_KEY",),
        "https://docs.litellm.ai/docs/providers/gmi",
    ),
    Compatible(
        "hyperbolic",
        "https://api.hyperbolic.xyz/v1",
        ("HYPERBOLIC_API_KEY",),
        "https://docs.hyperbolic.xyz/docs/rest-api",
    ),
    Compatible(
        "inception",
        "https://api.inceptionlabs.ai/v1",
        ("INCEPTION_API_KEY",),
        "https://docs.inceptionlabs.ai/get-started/models",
    ),
    Compatible(
        "meta",
        "https://api.meta.ai/v1",
        ("META_API_KEY",),
        "https://dev.meta.ai/docs/pricing-rate-limits",
    ),
    Compatible(
        "minimax",
        "https://api.minimax.io/v1",
        ("MINIMAX_API_KEY",),
        "https://platform.minimax.io/docs/api-reference/text-openai-api",
    ),
    Compatible(
        "morph",
        "https://api.morphllm.com/v1",
        ("MORPH_API_KEY",),
        "https://docs.morphllm.com/quickstart",
    ),
    Compatible(
        "nebius",
        "https://api.studio.nebius.ai/v1",
        ("NEBIUS_API_KEY",),
        "https://docs.litellm.ai/docs/providers/nebius",
    ),
    Compatible(
        "novita",
        "https://api.novita.ai/v3/openai",
        ("NOVITA_API_KEY",),
        "https://novita.ai/docs/guides/llm-api",
    ),
    Compatible(
        "nscale",
        "https://inference.api.nscale.com/v1",
        ("NSCALE_API_KEY",),
        "https://docs.nscale.com/docs/inference/serverless-models/current",
    ),
    Compatible(
        "nvidia_nim",
        "https://integrate.api.nvidia.com/v1",
        ("NVIDIA_API_KEY", "NVIDIA_NIM_API_KEY"),
        "https://docs.api.nvidia.com/nim/reference/llm-apis",
        ("nvidia",),
    ),
    Compatible(
        "ovhcloud",
        "https://oai.endpoints.kepler.ai.cloud.ovh.net/v1",
        ("OVHCLOUD_API_KEY",),
        "https://endpoints.ai.cloud.ovh.net",
    ),
    Compatible(
        "perplexity",
        "https://api.perplexity.ai",
        ("PERPLEXITY_API_KEY", "PERPLEXITYAI_API_KEY"),
        "https://docs.perplexity.ai/api-reference/chat-completions-post",
    ),
    Compatible(
        "sambanova",
        "https://api.sambanova.ai/v1",
        ("SAMBANOVA_API_KEY",),
        "https://docs.sambanova.ai/docs/en/features/openai-compatibility",
    ),
    Compatible(
        "scaleway",
        "https://api.scaleway.ai/v1",
        ("SCW_SECRET_KEY",),
        "https://www.scaleway.com/en/docs/generative-apis/api-cli/using-chat-api/",
    ),
    Compatible(
        "tencent",
        "https://tokenhub-intl.tencentcloudmaas.com/v1",
        ("TENCENT_API_KEY",),
        "https://www.tencentcloud.com/document/product/1300/78937",
    ),
    Compatible(
        "v0",
        "https://api.v0.dev/v1",
        ("V0_API_KEY",),
        "https://v0.dev/docs/v0-model-api",
    ),
    Compatible(
        "vercel_ai_gateway",
        "https://ai-gateway.vercel.sh/v1",
        ("AI_GATEWAY_API_KEY", "VERCEL_AI_GATEWAY_API_KEY"),
        "https://vercel.com/docs/ai-gateway",
        ("vercel",),
    ),
    Compatible(
        "volcengine",
        "https://ark.cn-beijing.volces.com/api/v3",
        ("ARK_API_KEY", "VOLCENGINE_API_KEY"),
        "https://www.volcengine.com/docs/82379/1544106",
    ),
    Compatible(
        "wandb",
        "https://api.inference.wandb.ai/v1",
        ("WANDB_API_KEY",),
        "https://docs.wandb.ai/inference",
    ),
    Compatible(
        "xiaomi_mimo",
        "https://api.xiaomimimo.com/v1",
        ("XIAOMI_MIMO_API_KEY",),
        "https://platform.xiaomimimo.com/static/docs/price/pay-as-you-go.md",
    ),
)
