"""The service's REST API, with the standard library alone; tokens travel as .npy."""
import base64
import http.client
import io
import json
import os
import random
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from . import _files
from .errors import Error, InvalidError, UnavailableError, of_status

ImageFile = Union[bytes, str, "os.PathLike[str]"]
"""The bytes of a picture's file, or the path of one."""

_BUSY = (429, 503)
_STATUS = {400: "INVALID", 401: "INVALID", 403: "INVALID", 404: "INVALID", 405: "INVALID",
           406: "INVALID", 409: "TOKENS", 413: "LIMIT", 415: "IMAGE", 422: "IMAGE",
           429: "UNAVAILABLE", 500: "INTERNAL", 503: "UNAVAILABLE", 504: "UNAVAILABLE"}
_BAD_TOKENS = "urn:vqct:problem:bad-tokens"


class Client:
    """A service at `url`, such as "http://127.0.0.1:8080". May be used from any number of threads.

    key: for services that ask for one. timeout: seconds that one call may take, its retries
    included. A busy service (429, 503) is asked again after what its Retry-After says, one that
    cannot be reached after a growing pause; both only while the timeout allows. Answers that are
    problems raise vqct.Error, with `http_status` and the problem document in `problem`.

    model: the name of one of the models served, where it is not the first. priority: 0 (the most
    urgent) to 7 (bulk work, which waits for all else); 3 where it is not given.
    """

    def __init__(self, url: str, key: Optional[str] = None, timeout: float = 60.0):
        if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
            raise InvalidError(f"{url}: not an http or https address")
        self._url, self._timeout = url.rstrip("/"), timeout
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    def encode(self, images: Union[ImageFile, Sequence[ImageFile]],
               size: Union[None, int, Tuple[int, int]] = None, resize: str = "cover",
               model: Optional[str] = None, priority: Optional[int] = None,
               crop: Optional[Tuple[int, int, int, int]] = None,
               focus: Optional[Tuple[float, float]] = None) -> np.ndarray:
        """Tokens N,P,h,w of picture files (N = 1 for one). size: (height, width) or a side.

        crop: (left, top, width, height) in pixels, the part of each picture that is used, as if
        there were no more. focus: (x, y) from 0 to 1, the point that resize="cover" keeps in the
        middle as near as the edges allow; the centre where it is not given.
        """
        files = [_files.read(one) for one in _files.as_list(images)]
        query = {"resize": resize}
        if size is not None:
            height, width = (size, size) if isinstance(size, int) else size
            query["size"] = f"{width}x{height}"
        if crop is not None:
            query["crop"] = ",".join(f"{pixels:d}" for pixels in crop)
        if focus is not None:
            query["focus"] = ",".join(f"{part:.9f}" for part in focus)
        body, kind = _multipart(files)
        answer = self._request("/v1/encode", body, kind, "application/x-npy", query, model,
                               priority)[0]
        return np.load(io.BytesIO(answer), allow_pickle=False)

    def decode(self, tokens: np.ndarray, model: Optional[str] = None,
               priority: Optional[int] = None) -> List[bytes]:
        """PNG files of tokens N,P,h,w or P,h,w. Raises TokensError where any is not decoded."""
        array = np.asarray(tokens)
        file = io.BytesIO()
        np.save(file, array[None] if array.ndim == 3 else array, allow_pickle=False)
        body, kind = self._request("/v1/decode", file.getvalue(), "application/x-npy",
                                   "application/json", None, model, priority)
        answers = json.loads(body)["images"]
        for i, one in enumerate(answers):
            if "error" in one:
                raise _fault(one["error"]["status"], one["error"], "no reason is told", f"picture {i}: ")
        return [base64.b64decode(one["image"]) for one in answers]

    def model(self, model: Optional[str] = None) -> Dict[str, Any]:
        """What a served model is, as /v1/model tells."""
        return json.loads(self._request("/v1/model", model=model)[0])

    def models(self) -> List[Dict[str, Any]]:
        """All models served, the first of them the one that is meant where none is named."""
        return json.loads(self._request("/v1/models")[0])["models"]

    def codebook(self, model: Optional[str] = None) -> Dict[str, Any]:
        """How healthy each codebook is, as /v1/codebook tells."""
        return json.loads(self._request("/v1/codebook", model=model)[0])

    # ---- one call ----

    def _request(self, path: str, body: Optional[bytes] = None, kind: str = "",
                 accept: str = "application/json", query: Optional[Mapping[str, str]] = None,
                 model: Optional[str] = None, priority: Optional[int] = None) -> Tuple[bytes, str]:
        asked = {**(query or {}), **({} if model is None else {"model": model})}
        url = self._url + path + ("?" + urllib.parse.urlencode(asked) if asked else "")
        headers = {**self._headers, "Accept": accept, **({"Content-Type": kind} if body else {})}
        if priority is not None:
            if priority not in range(8):
                raise InvalidError(f"priority is {priority!r}: 0 to 7 is allowed")
            headers["Priority"] = f"u={priority}"
        end, pause = time.monotonic() + self._timeout, 0.1
        while True:
            left = max(end - time.monotonic(), 0.001)
            request = urllib.request.Request(url, data=body, headers=headers)
            try:
                with urllib.request.urlopen(request, timeout=left) as answer:
                    return answer.read(), answer.headers.get("Content-Type", "")
            except urllib.error.HTTPError as refusal:
                with refusal:
                    fault: Error = _problem(refusal)
                    again = refusal.code in _BUSY
                    wait = _seconds(refusal.headers.get("Retry-After"), pause)
            except (OSError, http.client.HTTPException) as unreachable:  # URLError is an OSError
                reason = getattr(unreachable, "reason", unreachable)
                fault, again, wait = UnavailableError(f"{url}: {reason}"), True, pause
            # Clients that were refused together should not come back together.
            wait *= 1 + random.random() / 4
            if not again or time.monotonic() + wait >= end:
                raise fault
            time.sleep(wait)
            pause = min(2 * pause, 5.0)


def _multipart(files: Sequence[bytes]) -> Tuple[bytes, str]:
    boundary = uuid.uuid4().hex
    parts = [f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{i}"\r\n'
             "Content-Type: application/octet-stream\r\n\r\n".encode() + data + b"\r\n"
             for i, data in enumerate(files)]
    body = b"".join(parts) + f"--{boundary}--\r\n".encode()
    return body, f"multipart/form-data; boundary={boundary}"


def _seconds(header: Optional[str], otherwise: float) -> float:
    return float(header) if header and header.isascii() and header.isdigit() else otherwise


def _problem(refusal: urllib.error.HTTPError) -> Error:
    """The exception for an answer that is no success."""
    text = refusal.read().decode(errors="replace")
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    problem: Dict[str, Any] = document if isinstance(document, dict) else {}
    return _fault(refusal.code, problem, text[:200] or refusal.reason)


def _fault(code: int, problem: Dict[str, Any], otherwise: str, where: str = "") -> Error:
    """The exception for a problem document, which may be empty."""
    status = "TOKENS" if problem.get("type") == _BAD_TOKENS else _STATUS.get(code, "INTERNAL")
    message = problem.get("detail") or problem.get("title") or otherwise
    fault = of_status(status, f"{code}: {where}{message}")
    fault.http_status, fault.problem = code, problem
    return fault
