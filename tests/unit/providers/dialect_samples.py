"""Well-formed requests, answers and stream events of each dialect, to be damaged by the hostile tests."""

from typing import Any

_SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
_ANTHROPIC_MESSAGES = [
    {"role": "user", "content": "hi"},
    {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "text", "text": "let me"},
            {"type": "tool_use", "id": "t", "name": "shell", "input": {"cmd": "ls"}},
        ],
    },
    {
        "role": "user",
        "content": [
            {
                "type": "tool_result",
                "tool_use_id": "t",
                "content": [{"type": "text", "text": "out"}, {"type": "image", "source": {}}],
            },
            {"type": "document", "source": {"type": "text", "data": "doc"}},
        ],
    },
]
_USAGE = {
    "input_tokens": 5,
    "output_tokens": 6,
    "cache_read_input_tokens": 1,
    "cache_creation": {"ephemeral_1h_input_tokens": 2},
    "output_tokens_details": {"thinking_tokens": 3},
}
_BLOCK = {"type": "tool_use", "name": "shell", "input": {"a": 1}}
_CANDIDATE = {
    "index": 0,
    "finishReason": "STOP",
    "content": {"parts": [{"text": "a", "thought": True}, {"functionCall": {"name": "f", "args": {"a": 1}}}]},
}
_CONVERSE_BLOCKS = [
    {"text": "hi"},
    {"toolUse": {"name": "f", "input": {"a": 1}}},
    {"toolResult": {"content": [{"text": "r"}, {"json": {"a": "b"}}, {"document": {"source": {"bytes": "AA=="}}}]}},
    {"reasoningContent": {"reasoningText": {"text": "r", "signature": "s"}}},
]
_COHERE_CALL = {"function": {"name": "f", "arguments": "{}"}}

REQUESTS: dict[str, list[Any]] = {
    "anthropic": [
        {
            "model": "m",
            "max_tokens": 9,
            "temperature": 0.5,
            "stream": True,
            "system": [{"type": "text", "text": "sys"}],
            "messages": _ANTHROPIC_MESSAGES,
            "tools": [{"name": "shell", "input_schema": _SCHEMA}, {"type": "web_search_20250305"}],
            "tool_choice": {"type": "tool", "name": "shell"},
        },
        {"requests": [{"custom_id": "a", "params": {"model": "m", "max_tokens": 5, "messages": _ANTHROPIC_MESSAGES}}]},
    ],
    "gemini": [
        {
            "systemInstruction": {"parts": [{"text": "sys"}]},
            "contents": [
                {
                    "role": "user",
                    "parts": [
                        {"text": "hi"},
                        {"functionCall": {"name": "f", "args": {"a": 1}}},
                        {"function_response": {"name": "f", "response": {"out": "x"}}},
                        {"inlineData": {"data": "AA=="}},
                    ],
                }
            ],
            "tools": [{"functionDeclarations": [{"name": "f", "parameters": _SCHEMA}]}, {"googleSearch": {}}],
            "generationConfig": {"maxOutputTokens": 5, "temperature": 0.5},
        },
        {
            "model": "m",
            "stream": True,
            "system_instruction": "sys",
            "input": [
                {"type": "user_input", "content": [{"type": "text", "text": "hi"}, {"type": "image", "data": "AA=="}]},
                {"type": "function_call", "name": "f", "arguments": {"a": 1}},
                {"type": "function_result", "call_id": "c", "result": [{"type": "text", "text": "r"}]},
                {"type": "thought", "summary": [{"type": "text", "text": "t"}], "signature": "S"},
            ],
            "tools": [{"type": "function", "name": "f"}, {"type": "google_search"}],
            "generation_config": {"max_output_tokens": 5, "temperature": 0.5},
        },
        {"generateContentRequest": {"model": "models/m", "contents": [{"parts": [{"text": "a"}]}]}},
        {"requests": [{"content": {"parts": [{"text": "a"}]}}]},
        {"batch": {"inputConfig": {"requests": {"requests": [{"request": {"contents": [{"parts": [{"text": "a"}]}]}}]}}}},
    ],
    "bedrock": [
        {
            "system": [{"text": "sys"}],
            "messages": [{"role": "user", "content": _CONVERSE_BLOCKS}],
            "inferenceConfig": {"maxTokens": 5, "temperature": 0.5},
            "toolConfig": {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": _SCHEMA}}}, {"cachePoint": {}}]},
        },
        {"anthropic_version": "x", "max_tokens": 5, "messages": _ANTHROPIC_MESSAGES, "tools": [{"name": "f"}]},
        {"prompt": "hi", "max_gen_len": 5, "temperature": 0.5},
        {"inputText": "hi", "textGenerationConfig": {"maxTokenCount": 5, "temperature": 0.5}},
        {"input": {"converse": {"messages": [{"role": "user", "content": _CONVERSE_BLOCKS}]}}},
        {"input": {"invokeModel": {"body": "e30="}}},
        {"message": "hi", "chat_history": [{"role": "USER", "message": "a"}]},
    ],
    "cohere": [
        {
            "model": "m",
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "u"}}]},
                {"role": "assistant", "tool_plan": "p", "tool_calls": [_COHERE_CALL]},
                {"role": "tool", "tool_call_id": "t", "content": [{"type": "document", "document": {"data": "x"}}]},
            ],
            "tools": [{"type": "function", "function": {"name": "f", "parameters": _SCHEMA}}],
            "documents": [{"id": "1", "data": {"title": "t"}}, "plain"],
            "max_tokens": 5,
            "temperature": 0.5,
            "stream": False,
        },
        {
            "message": "m",
            "preamble": "p",
            "chat_history": [{"role": "USER", "message": "a", "tool_results": [{"outputs": [{"a": "b"}]}]}],
            "tool_results": [{"outputs": [{"a": "b"}]}],
        },
        {"texts": ["a"], "inputs": [{"content": [{"type": "text", "text": "x"}]}], "query": "q"},
    ],
    "ollama": [
        {
            "model": "m",
            "messages": [
                {"role": "user", "content": "hi", "images": ["AA=="]},
                {"role": "assistant", "thinking": "t", "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]},
                {"Role": "tool", "content": "r"},
            ],
            "tools": [{"type": "function", "function": {"name": "f", "parameters": _SCHEMA}}],
            "options": {"num_predict": 5, "temperature": 0.5},
            "stream": False,
        },
        {"model": "m", "prompt": "p", "system": "s", "suffix": "x"},
        {"model": "m", "input": ["a", "b"]},
    ],
}

RESPONSES: dict[str, list[Any]] = {
    "anthropic": [
        {"type": "message", "id": "i", "model": "m", "stop_reason": "end_turn", "usage": _USAGE, "content": [_BLOCK]},
        {"type": "message_start", "message": {"id": "i", "model": "m", "usage": _USAGE, "content": []}},
        {"type": "content_block_start", "index": 0, "content_block": _BLOCK},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "fallback", "to": {"model": "n"}}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": _USAGE},
        {"type": "error", "error": {"type": "overloaded_error", "message": "m"}},
        {"completion": "x", "stop_reason": "stop"},
    ],
    "gemini": [
        {
            "candidates": [_CANDIDATE],
            "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 2, "thoughtsTokenCount": 3},
            "modelVersion": "m",
            "responseId": "i",
            "promptFeedback": {"blockReason": "SAFETY"},
        },
        {
            "id": "i",
            "model": "m",
            "status": "completed",
            "steps": [
                {"type": "model_output", "content": [{"type": "text", "text": "a"}]},
                {"type": "function_call", "name": "f", "arguments": {"a": 1}},
                {"type": "thought", "summary": [{"text": "t"}]},
            ],
            "usage": {"total_input_tokens": 1, "total_output_tokens": 2, "total_thought_tokens": 3, "total_tokens": 6},
        },
        {"event_type": "step.start", "index": 0, "step": {"type": "function_call", "name": "f", "arguments": {}}},
        {"event_type": "step.delta", "index": 0, "delta": {"type": "arguments_delta", "arguments": "{}"}},
        {"event_type": "interaction.completed", "interaction": {"id": "i", "usage": {"total_input_tokens": 1}}},
        {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "m"}},
    ],
    "bedrock": [
        {
            "output": {"message": {"content": _CONVERSE_BLOCKS}},
            "stopReason": "end_turn",
            "usage": {"inputTokens": 1, "outputTokens": 2, "cacheDetails": [{"ttl": "1h", "inputTokens": 3}]},
        },
        {"contentBlockStart": {"contentBlockIndex": 0, "start": {"toolUse": {"name": "f"}}}},
        {"contentBlockIndex": 0, "start": {"toolUse": {"name": "f"}}},
        {"contentBlockIndex": 0, "delta": {"text": "a", "toolUse": {"input": "{}"}, "reasoningContent": {"text": "r"}}},
        {"stopReason": "end_turn"},
        {"generation": "a", "prompt_token_count": 1, "generation_token_count": 2, "stop_reason": "stop"},
        {"inputTextTokenCount": 1, "results": [{"tokenCount": 2, "outputText": "a", "completionReason": "FINISH"}]},
        {"completions": [{"data": {"text": "a"}, "finishReason": {"reason": "length"}}], "id": 5},
        {"choices": [{"index": 0, "delta": {"content": "a", "tool_calls": [{"function": {"name": "f"}}]}}], "usage": {}},
        {"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 1, "outputTokenCount": 2}},
    ],
    "cohere": [
        {
            "id": "i",
            "finish_reason": "COMPLETE",
            "usage": {"tokens": {"input_tokens": 1.0}, "billed_units": {"output_tokens": 2}},
            "message": {
                "content": [{"type": "text", "text": "a"}, {"type": "thinking", "thinking": "b"}],
                "tool_calls": [_COHERE_CALL],
            },
        },
        {"generations": [{"text": "a", "finish_reason": "COMPLETE"}], "meta": {"billed_units": {}}},
        {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "a"}}}},
        {"type": "tool-call-start", "index": 0, "delta": {"message": {"tool_calls": _COHERE_CALL}}},
        {"type": "tool-call-delta", "index": 0, "delta": {"message": {"tool_calls": {"function": {"arguments": "{}"}}}}},
        {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": {}}},
        {"event_type": "tool-calls-generation", "tool_calls": [{"name": "f", "parameters": {"a": 1}}]},
        {"event_type": "stream-end", "finish_reason": "COMPLETE", "response": {"response_id": "i", "meta": {}}},
    ],
    "ollama": [
        {
            "model": "m",
            "message": {"content": "a", "thinking": "t", "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]},
            "done": True,
            "done_reason": "stop",
            "prompt_eval_count": 1,
            "eval_count": 2,
        },
        {"response": "a", "done": False},
        {"error": "e"},
    ],
}
