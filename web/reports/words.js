// The report of Compare To Reference in Korean, line by line and cell by cell. A line without a rule stays English.

const CELLS = {
  particle: "파티클",
  "PSNR raw": "PSNR 그대로",
  "PSNR aligned": "PSNR 정렬 후",
  "SSIM raw": "SSIM 그대로",
  "SSIM aligned": "SSIM 정렬 후",
  "LPIPS raw": "LPIPS 그대로",
  "LPIPS aligned": "LPIPS 정렬 후",
  "residual / floor": "잔차 / 노이즈 바닥",
  "aligned by": "정렬 변환",
  chosen: "선택",
  blind: "블라인드",
  oracle: "오라클",
  "blind, oracle": "블라인드, 오라클",
  identity: "변환 없음",
};

const VERDICTS = { reconstructed: "복원됨", "not reconstructed": "복원되지 않음" };

const choice = (words) => [
  new RegExp(`^\\*\\*${words[0]}:\\*\\* particle (\\d+), (.+) aligned, (.+) raw: (.+)\\.$`),
  (_, name, aligned, raw, verdict) =>
    `**${words[1]}:** 파티클 ${name}, 정렬 후 ${aligned}, 그대로 ${raw}: ${VERDICTS[verdict] ?? verdict}.`,
];

const LINES = [
  choice(["Chosen blind \\(by residual\\)", "블라인드 선택 (잔차로)"]),
  choice(["Chosen blind \\(by the run\\)", "블라인드 선택 (실행이 고름)"]),
  choice(["Chosen by oracle \\(best of N, looking at the truth\\)", "오라클 선택 (정답을 보고 N개 중 최선)"]),
  [
    /^A flat image of the mean colour: (.+)\. Noise floor: residual (.+); the truth's own residual: (.+)\.$/,
    "평균색 단색 이미지: $1. 노이즈 바닥: 잔차 $2; 정답 자신의 잔차: $3.",
  ],
  [/^Without alignment the oracle would choose particle (\d+)\.$/, "정렬하지 않으면 오라클은 파티클 $1을(를) 고릅니다."],
  [/^Not finite, so not scored: particle (.+)\.$/, "유한하지 않아 점수가 없음: 파티클 $1."],
  [/^Written to (.+)\.$/, "$1에 기록했습니다."],
  [
    /^Aligned channel by channel, (.+)\.$/,
    (_, gains) => `채널별로 정렬하면 ${gains.replaceAll("particle", "파티클")}.`,
  ],
  [
    /^LPIPS is left out: see the notice on Compare To Reference \(it comes once\) or its help page\.$/,
    "LPIPS는 뺐습니다: 이 노드의 알림(한 번만 나옴)이나 도움말을 보세요.",
  ],
  [
    /^These images are not what the run returned: their residuals were computed anew\.$/,
    "이 이미지들은 실행의 결과가 아니므로 잔차를 새로 계산했습니다.",
  ],
  [
    /^The run returned (\d+) particles, but these are (\d+) images: their residuals were computed anew\.$/,
    "실행은 파티클 $1개를 돌려주었지만 이미지는 $2개이므로 잔차를 새로 계산했습니다.",
  ],
  [/^(SSIM|LPIPS) needs images of at least (\d+) pixels each way\.$/, "$1에는 가로와 세로가 $2픽셀 이상인 이미지가 필요합니다."],
];

const KOREAN = {
  cell: (text) => (Object.hasOwn(CELLS, text) ? CELLS[text] : text),
  line: (text) => LINES.reduce((said, [pattern, korean]) => said.replace(pattern, korean), text),
};

const ENGLISH = { cell: (text) => text, line: (text) => text };

export const wordsOf = (locale) => (String(locale ?? "").startsWith("ko") ? KOREAN : ENGLISH);
