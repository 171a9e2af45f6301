"""Distinct items to send, drawn from fixed seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import TypeVar

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from trireme_lab.pictures import encode, grey, upscaled, with_margins

SEED = 17
T = TypeVar("T", str, bytes)

_WORDS = """
    the anchor harbour oar bench north storm rower deck sail hull wind bronze ram salt rope drum keel
    mast helm tide current island signal captain beat turn fleet morning shallow water stone bay line
"""
_SUBJECTS = """
    酒店 房间 服务 早餐 前台 位置 电影 剧情 演员 音乐 手机 屏幕 电池 物流 客服 味道 包装 价格 环境 交通
"""
_VERDICTS = """
    非常好 很满意 太差了 让人失望 超出预期 一般般 非常糟糕 值得推荐 不会再来 很舒服 有点贵 物有所值
    又脏又吵 十分贴心 慢得离谱 干净整洁 完全不值 令人惊喜 做工粗糙 无可挑剔
"""
_TAILS = """
    下次还会来 再也不买了 朋友也这么说 总体不错 有待改进 强烈推荐 浪费时间 给个好评 只能给差评 希望改善
"""


def english_texts(number: int) -> list[str]:
    """Lines of 6 to 14 words."""
    random, words = np.random.Generator(np.random.PCG64(SEED)), _WORDS.split()
    return _distinct(lambda: " ".join(random.choice(words, int(random.integers(6, 15)))), number)


def chinese_reviews(number: int) -> list[str]:
    """Reviews of two to four clauses, good, bad and mixed."""
    random = np.random.Generator(np.random.PCG64(SEED))
    subjects, verdicts, tails = _SUBJECTS.split(), _VERDICTS.split(), _TAILS.split()

    def review() -> str:
        clauses = int(random.integers(2, 5))
        pairs = zip(random.choice(subjects, clauses), random.choice(verdicts, clauses), strict=True)
        return (
            "，".join([*(f"{subject}{verdict}" for subject, verdict in pairs), random.choice(tails)]) + "。"
        )

    return _distinct(review, number)


def digit_pictures(number: int) -> list[bytes]:
    """PNG files of handwritten digits, 200 to 320 pixels a side, with margins, in both polarities."""
    random = np.random.Generator(np.random.PCG64(SEED))
    digits = load_digits().data.reshape(-1, 8, 8)
    order: Iterator[int] = (position % len(digits) for position in count())

    def picture() -> bytes:
        pixels = grey(digits[next(order)])
        pixels = upscaled(pixels, int(random.integers(200, 321)), Image.Resampling.BICUBIC)
        pixels = with_margins(pixels, *random.uniform(0, 0.4, 4))
        return encode(255 - pixels if random.random() < 0.5 else pixels)

    return _distinct(picture, number)


def photographs(number: int) -> list[bytes]:
    """JPEG files of 960 x 720 pixels with the grain of a camera, about 190 KB: a digit on black."""
    random = np.random.Generator(np.random.PCG64(SEED))
    digits = load_digits().data.reshape(-1, 8, 8)
    order: Iterator[int] = (position % len(digits) for position in count())

    def picture() -> bytes:
        pixels = upscaled(grey(digits[next(order)]), 640, Image.Resampling.BICUBIC).astype(np.float64)
        canvas = np.zeros((720, 960))
        canvas[40:680, 160:800] = pixels * 0.8
        grain = random.normal(0, 10, canvas.shape)
        return encode(np.clip(canvas + np.abs(grain), 0, 255).astype(np.uint8), "JPEG")

    return _distinct(picture, number)


def _distinct(draw: Callable[[], T], number: int) -> list[T]:
    found: dict[T, None] = {}
    while len(found) < number:
        found[draw()] = None
    return list(found)
