// The words of the live view, in the editor's language.

const EN = {
  language: "en",
  phases: {
    explore: "explore",
    prune: "prune",
    refine: "refine",
    fit: "fit",
    polish: "polish",
    off_decoder: "off decoder",
    choose: "choose",
  },
  status: { running: "running", finished: "finished", cancelled: "cancelled", failed: "failed", lost: "ended unseen" },
  lostHint: "This run ended while the editor was closed; its record has the rest.",
  step: (i, n) => `step ${i} of ${n}`,
  seconds: (s) => `${s} s`,
  stepAxis: "annealing step",
  particle: (name) => `particle ${name}`,
  copyOf: (name) => `copy of ${name}`,
  blind: "blind choice",
  dropped: "dropped",
  residual: "residual",
  residualAxis: "residual (× floor)",
  timesFloor: (x) => `${x} × noise floor`,
  score: (score, doubt) => `score ${score} (prior error ${doubt})`,
  noiseFloor: "noise floor",
  distance: "pairwise distance",
  repulsion: "repulsion",
  notFinite: "not finite",
  record: "record",
  begun: (when) => `begun ${when}`,
  sigma: "σ",
  reason: (text) => text.replace(/ times the best$/, "× best"),
  summary: (what) => `Live view of the run: ${what}.`,
};

const KO = {
  language: "ko",
  phases: {
    explore: "탐색",
    prune: "가지치기",
    refine: "다듬기",
    fit: "맞추기",
    polish: "마무리",
    off_decoder: "디코더 밖 보정",
    choose: "고르기",
  },
  status: { running: "실행 중", finished: "완료", cancelled: "취소됨", failed: "실패", lost: "확인 못 한 사이 종료" },
  lostHint: "편집기가 닫혀 있는 동안 끝난 실행입니다. 나머지는 기록 파일에 있습니다.",
  step: (i, n) => `${n}스텝 중 ${i}스텝`,
  seconds: (s) => `${s}초`,
  stepAxis: "어닐링 스텝",
  particle: (name) => `파티클 ${name}`,
  copyOf: (name) => `파티클 ${name}의 복사본`,
  blind: "블라인드 선택",
  dropped: "제외됨",
  residual: "잔차",
  residualAxis: "잔차 (× 바닥)",
  timesFloor: (x) => `노이즈 바닥의 ${x}배`,
  score: (score, doubt) => `점수 ${score} (사전 모델 오차 ${doubt})`,
  noiseFloor: "노이즈 바닥",
  distance: "파티클 간 거리",
  repulsion: "반발",
  notFinite: "유한하지 않음",
  record: "기록",
  begun: (when) => `시작 ${when}`,
  sigma: "σ",
  reason: (text) =>
    text
      .replace(/^duplicate of (\d+)$/, "파티클 $1과(와) 중복")
      .replace(/^residual ([\d.]+) times the best$/, "잔차가 최선의 $1배")
      .replace(/^larger residual$/, "잔차가 더 큼")
      .replace(/^not drawn$/, "추첨되지 않음")
      .replace(/^not finite$/, "유한하지 않음"),
  summary: (what) => `실행 보기: ${what}.`,
};

export const wordsOf = (locale) => (String(locale ?? "").startsWith("ko") ? KO : EN);

/** A number for reading: three digits. The exact one is in the attributes, and in metrics.json. */
export function short(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e5 || size < 1e-3)) return value.toExponential(1).replace("e+", "e");
  if (size >= 100) return value.toFixed(0);
  return String(Number(value.toPrecision(3)));
}
