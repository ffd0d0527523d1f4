"use strict";

/* The last minutes of one score, or of the arousal: one strip of bars in a canvas. Nothing is kept longer. */

const MINUTES = 3;

class History {
  /** Results of the last minutes: {start, end, scores, arousal, known}, times in ms of this page's clock. */
  constructor() {
    this.results = [];
  }

  /** Add a partial result, or a final one, which takes the place of the partial ones of its utterance. */
  add(result) {
    if (result.final) this.results = this.results.filter((each) => each.utterance !== result.utterance);
    this.results.push(result);
    this.forget(result.end);
  }

  forget(now) {
    while (this.results.length && this.results[0].end < now - MINUTES * 60_000) this.results.shift();
  }

  /** Draw what `value` says of each result: 0 to 1 upwards, or with `signed` -1 to 1 around the middle. */
  draw(canvas, value, now, colours, signed) {
    const ratio = window.devicePixelRatio || 1;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    const base = signed ? height / 2 : height - 1;
    pen.fillStyle = colours.line;
    pen.fillRect(0, Math.round(base), width, 1);
    const scale = width / (MINUTES * 60_000);
    for (const result of this.results) {
      const left = width - (now - result.start) * scale;
      const size = value(result) * (signed ? height / 2 : height - 1);
      pen.fillStyle = result.known ? colours.accent : colours.pale;
      pen.fillRect(left, base - Math.max(size, 0), Math.max((result.end - result.start) * scale - 0.5, 1.5), Math.abs(size));
    }
  }
}
